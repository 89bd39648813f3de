import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../ports.js'
import { type AppProcess, startAppProcess } from './containers.js'

/** The image whose containers the double can run. */
export const RANCHER_IMAGE = 'hostler-app:latest'

export interface Endpoint {
  readonly ipAddress: string
  readonly port: number
  readonly instanceId?: string
}

export interface LaunchConfig {
  imageUuid?: string
  labels?: Record<string, unknown> | null
  environment?: Record<string, string> | null
  ports?: string[] | null
  command?: string[] | null
  networkMode?: string
  stopTimeout?: number
  healthCheck?: object | null
  [more: string]: unknown
}

export interface Service {
  readonly id: string
  readonly uuid: string
  readonly projectId: string
  readonly stackId: string
  readonly createdTS: number
  name: string
  scale: number
  state: string
  healthState: string | null
  transitioning: 'yes' | 'no' | 'error'
  transitioningMessage: string | null
  launchConfig: LaunchConfig | null
  publicEndpoints: readonly Endpoint[] | null
}

export interface Stack {
  readonly id: string
  readonly projectId: string
  name: string
}

export interface Project {
  readonly id: string
  name: string
}

/** What Rancher has, and what becomes of it: an action changes the state at once, and is done a moment later. */
export interface World {
  readonly projects: Map<string, Project>
  readonly stacks: Map<string, Stack>
  readonly services: Map<string, Service>
  /** How long each transition takes. */
  transitMs: number
  project(name: string): Project
  stack(name: string, projectId: string): Stack
  service(name: string, stack: Stack, more?: Partial<Service>): Service
  actions(service: Service): string[]
  act(service: Service, action: string): void
  /** Where the service's process listens, while it runs. */
  portOf(id: string): number | undefined
  /** How often a process of the service was started. */
  starts(id: string): number
  /** Ends every process. */
  close(): Promise<void>
}

/** From which states each action may be taken. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  activate: ['inactive'],
  deactivate: ['active', 'activating', 'updating-active', 'updating-inactive', 'restarting'],
  finishupgrade: ['upgraded'],
  remove: [
    ...['inactive', 'registering', 'active', 'activating', 'updating-inactive', 'updating-active', 'upgrading'],
    ...['deactivating', 'requested', 'canceled-upgrade', 'upgraded', 'finishing-upgrade', 'restarting'],
  ],
}

const DEFAULT_STOP_S = 10
const RESTART_MS = 200

export function createWorld(): World {
  const runs = new Map<string, AppProcess>()
  const starts = new Map<string, number>()
  /** Every transition under way, so that none outlives the double. */
  const underWay = new Set<Promise<void>>()
  const closing = new AbortController()
  const pause = (ms: number) => delay(ms, undefined, { signal: closing.signal }).catch(() => undefined)
  let number = 100_000
  const nextId = (kind: string) => `1${kind}${++number}`

  const world: World = {
    ...{ projects: new Map(), stacks: new Map(), services: new Map(), transitMs: 40 },
    project(name) {
      const found = [...world.projects.values()].find((project) => project.name === name)
      const project = found ?? { id: nextId('a'), name }
      world.projects.set(project.id, project)
      return project
    },
    stack(name, projectId) {
      const all = [...world.stacks.values()]
      const found = all.find((stack) => stack.name === name && stack.projectId === projectId)
      const stack = found ?? { id: nextId('st'), name, projectId }
      world.stacks.set(stack.id, stack)
      return stack
    },
    service(name, stack, more = {}) {
      const { id: stackId, projectId } = stack
      const service: Service = {
        ...{ id: nextId('s'), uuid: randomUUID(), projectId, stackId, createdTS: Date.now(), name, scale: 1 },
        ...{ state: 'inactive', healthState: 'unhealthy', transitioning: 'no', transitioningMessage: null },
        ...{ launchConfig: {}, publicEndpoints: null },
        ...more,
      }
      world.services.set(service.id, service)
      if (service.state === 'registering') later(service, 'registering', () => settle(service, 'inactive', 'unhealthy'))
      return service
    },
    actions: ({ state }) => Object.keys(ACTIONS).filter((action) => ACTIONS[action]?.includes(state)),
    act(service, action) {
      if (action === 'activate') activate(service)
      else if (action === 'deactivate') deactivate(service)
      else if (action === 'finishupgrade') settle(service, 'active', 'healthy')
      else if (action === 'remove') remove(service)
    },
    portOf: (id) => runs.get(id)?.port,
    starts: (id) => starts.get(id) ?? 0,
    async close() {
      closing.abort()
      await Promise.all(underWay)
      await Promise.all([...runs.values()].map((run) => run.stop(0)))
    },
  }

  /** After the transition's time, unless something else has begun meanwhile. */
  function later(service: Service, state: string, work: () => void | Promise<void>): void {
    const turn = pause(world.transitMs).then(() =>
      closing.signal.aborted || service.state !== state ? undefined : work(),
    )
    underWay.add(turn)
    turn.finally(() => underWay.delete(turn))
  }
  function settle(service: Service, state: string, healthState: string): void {
    Object.assign(service, { state, healthState, transitioning: 'no', transitioningMessage: null })
  }
  function begin(service: Service, state: string, work: () => void | Promise<void>): void {
    Object.assign(service, { state, transitioning: 'yes', transitioningMessage: `In Progress: ${state}` })
    later(service, state, work)
  }

  function activate(service: Service): void {
    service.healthState = 'initializing'
    begin(service, 'activating', async () => {
      const { imageUuid, command } = service.launchConfig ?? {}
      const image = String(imageUuid).replace(/^docker:/, '')
      if (image !== RANCHER_IMAGE) return fail(service, `Image [${image}] failed to pull: not found`)
      if (command?.[0]) return fail(service, `exec: "${command[0]}": stat ${command[0]}: no such file or directory`)
      await run(service)
      settle(service, 'active', 'healthy')
    })
  }
  /** It stays as it is, and goes on trying, as far as anybody can tell from outside. */
  function fail(service: Service, message: string): void {
    Object.assign(service, { transitioning: 'error', transitioningMessage: `Expected state running: ${message}` })
  }

  async function run(service: Service): Promise<void> {
    const { ports, environment } = service.launchConfig ?? {}
    const fixed = /^(\d+):\d+/.exec(ports?.[0] ?? '')?.[1]
    const port = Number(fixed) || (await freePort())
    const process = await startAppProcess(port, { HOSTNAME: service.name, ...environment })
    runs.set(service.id, process)
    starts.set(service.id, world.starts(service.id) + 1)
    service.publicEndpoints = ports?.length ? [{ ipAddress: '127.0.0.1', port, instanceId: `1i${port}` }] : []
    void process.ended.then(() => ended(service, process))
  }
  function ended(service: Service, process: AppProcess): void {
    if (runs.get(service.id) !== process) return
    runs.delete(service.id)
    service.publicEndpoints = []
    if (service.state !== 'active' || closing.signal.aborted) return
    if (String(service.launchConfig?.labels?.['io.rancher.container.start_once']) === 'true') {
      service.healthState = 'started-once'
      return
    }
    service.healthState = 'unhealthy'
    const again = pause(RESTART_MS).then(async () => {
      if (closing.signal.aborted || service.state !== 'active' || runs.has(service.id)) return
      await run(service)
      service.healthState = 'healthy'
    })
    underWay.add(again)
    again.finally(() => underWay.delete(again))
  }
  async function end(service: Service): Promise<void> {
    await runs.get(service.id)?.stop((service.launchConfig?.stopTimeout ?? DEFAULT_STOP_S) * 1000)
    service.publicEndpoints = []
  }

  function deactivate(service: Service): void {
    begin(service, 'deactivating', async () => {
      await end(service)
      if (service.state === 'deactivating') settle(service, 'inactive', 'unhealthy')
    })
  }
  /** A removed one can still be asked for by its id for a while. */
  function remove(service: Service): void {
    begin(service, 'removing', async () => {
      await end(service)
      settle(service, 'removed', 'unhealthy')
      later(service, 'removed', () => void world.services.delete(service.id))
    })
  }
  return world
}
