import type { StatePreview } from '../../src/reconcile/preview.js'
import { importAppImage } from './app-image.mjs'
import { type RunOptions, startDockerd, type TestContainer, type TestDockerd } from './dockerd.js'
import type { RunningHostler } from './hostler.js'
import { freePort } from './ports.js'
import { createRig, type Rig } from './rig.js'
import { until } from './wait.js'

/** A real Docker with the tests' own app, a real HAProxy in front of it, and Hostler that wakes and puts to sleep. */
export interface Inn {
  readonly dockerd: TestDockerd
  readonly rig: Rig
  readonly publicPort: number
  hostler(): RunningHostler
  /** Starts Hostler (again). */
  open(env?: Record<string, string>): Promise<RunningHostler>
  /** Runs the app as a stack of that name, `NAME.ci.test`, that can be woken. */
  lodge(stack: string, options?: Partial<RunOptions>): Promise<TestContainer>
  /** Waits until a stack is in that phase. */
  phase(stack: string, phase: string): Promise<void>
  /** Waits until HAProxy has what the plan wants. */
  settled(): Promise<void>
  stateOf(container: string): Promise<string>
  /** How often a container was started. */
  starts(container: string): Promise<number>
  close(): Promise<void>
}

export const APP = 'hostler-app:latest'

export async function openInn(env: Record<string, string> = {}): Promise<Inn> {
  const dockerd = await startDockerd()
  await importAppImage(dockerd.docker, { image: APP })
  const publicPort = await freePort()
  const rig = await createRig({
    HOSTLER_SOURCES: 'docker',
    DOCKER_HOST: dockerd.host,
    HOSTLER_DOMAIN: 'ci.test',
    HOSTLER_PUBLIC_LISTEN: `127.0.0.1:${publicPort}`,
    HOSTLER_SLEEP_INTERVAL: '100ms',
    ...env,
  })
  let running: RunningHostler | undefined
  const hostler = (): RunningHostler => {
    if (!running) throw new Error('hostler has not been started')
    return running
  }
  const group = async (stack: string) => (await hostler().state()).lifecycle?.groups.find(({ name }) => name === stack)
  return {
    ...{ dockerd, rig, publicPort, hostler },
    async open(more = {}) {
      running = await rig.start(['run'], { env: more })
      return running
    },
    lodge: (stack, { labels, ...more } = {}) =>
      dockerd.run({
        create: { Image: APP },
        name: `${stack}-web-1`,
        ...more,
        labels: { 'hostler.port': '80', 'hostler.stack': stack, 'hostler.wake': 'true', ...labels },
      }),
    async settled() {
      await until('HAProxy has what the plan wants', async () => {
        const { body } = await hostler().get('/api/plan')
        return (JSON.parse(body) as StatePreview).proxies.every(({ how }) => how === 'nothing')
      })
    },
    phase: async (stack, phase) => {
      await until(
        `${stack} is ${phase}; hostler says:\n${hostler().log().slice(-4000)}`,
        async () => (await group(stack))?.phase === phase,
        20_000,
      )
    },
    stateOf: async (container) => (await dockerd.docker.getContainer(container).inspect()).State.Status,
    async starts(container) {
      const { State } = await dockerd.docker.getContainer(container).inspect()
      const events = await dockerd.docker.getEvents({
        since: 0,
        until: Math.floor(Date.now() / 1000) + 1,
        filters: { container: [container], event: ['start'] },
      })
      let text = ''
      for await (const chunk of events) text += String(chunk)
      return State ? text.split('\n').filter((line) => line.trim() !== '').length : 0
    },
    async close() {
      await rig.close()
      await dockerd.stop()
    },
  }
}
