import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { keepAliveClients } from '../support/haproxy.js'
import type { RunningHostler } from '../support/hostler.js'
import { createRig, type Rig, type StackEntry } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const STACKS = ['s1', 's2', 's3', 's4', 's5', 's6']
const STEPS = Number(process.env['STEPS'] ?? 25)
const SEED = Number(process.env['SEED'] ?? 7)

interface Wanted {
  readonly servers: readonly number[]
  readonly labels: Readonly<Record<string, string | number | boolean>>
}

describeWith(['haproxy'], `any row of edits (STEPS=${STEPS} SEED=${SEED})`, () => {
  let rig: Rig
  let hostler: RunningHostler
  let upstreams: Upstream[]
  const random = createRandom(SEED)
  const wanted = new Map<string, Wanted>()
  let clients: ReturnType<typeof keepAliveClients> | undefined

  beforeAll(async () => {
    // So few that they run out: then a new stack takes a reload.
    rig = await createRig({ HAPROXY_SPARE_BACKENDS: '3' })
    upstreams = await Promise.all(['u0', 'u1', 'u2', 'u3'].map((name) => startUpstream(name)))
    rig.keep(...upstreams)
    rig.stacks(entries())
    hostler = await rig.start()
  })
  afterAll(async () => {
    await clients?.stop()
    await rig?.close()
  })

  const portOf = (index: number) => upstreams[index]?.port ?? 0
  const entries = (): StackEntry[] => [
    { name: 'steady', stack: 'steady', createdAt: 1, labels: { port: portOf(0) } },
    ...[...wanted].flatMap(([stack, { servers, labels }]) =>
      servers.map((index) => {
        const name = `${stack}-u${index}`
        return { name, stack, service: 'web', createdAt: 5, labels: { port: portOf(index), ...labels } }
      }),
    ),
  ]

  function edit(): void {
    const stack = STACKS[Math.floor(random() * STACKS.length)] ?? ''
    if (random() < 0.3) return void wanted.delete(stack)
    const maybe = (chance: number, labels: Wanted['labels']) => (random() < chance ? labels : {})
    wanted.set(stack, {
      servers: [0, 1, 2, 3].filter(() => random() < 0.5),
      labels: {
        ...maybe(0.3, { path: '/p' }),
        ...maybe(0.15, { 'strip-path': true }),
        ...maybe(0.2, { sticky: true }),
        ...maybe(0.2, { weight: 50 }),
        ...maybe(0.15, { maxconn: 20 }),
        ...maybe(0.2, { 'health-check': '/healthz' }),
        ...maybe(0.2, { aliases: `${stack}-alias` }),
        ...maybe(0.1, { host: `*.${stack}.example.com,%STACK%.%DOMAIN%` }),
      },
    })
  }

  /** Who answers for a stack, over enough connections to meet each of its servers. */
  async function answering(stack: string): Promise<string> {
    const asked = Array.from({ length: 24 }, () => rig.ask(`${stack}.ci.example.com`, '/p/x'))
    const apps = (await Promise.all(asked)).map(({ echo, status }) => echo?.app ?? String(status))
    return [...new Set(apps)].sort().join(' ')
  }

  const expected = (stack: string) =>
    wanted
      .get(stack)
      ?.servers.map((index) => `u${index}`)
      .join(' ') || '404'

  test('ends in what the list says, and breaks no request of a stack that stays', async () => {
    clients = keepAliveClients(`http://127.0.0.1:${rig.ports.http}/`, 2, { host: 'steady.ci.example.com' })
    for (let step = 0; step < STEPS; step++) {
      edit()
      edit()
      rig.stacks(entries())
      for (const stack of STACKS) {
        const what = `step ${step}: ${stack} is served by ${expected(stack)}`
        await until(what, async () => (await answering(stack)) === expected(stack))
      }
    }
    expect((await clients.stop()).failures).toEqual([])
    expect((await hostler.state()).proxies[0]).toMatchObject({ failures: 0, refused: [] })
    expect(hostler.log()).not.toContain('"level":50')
  })
})

/** The same numbers from 0 to 1 for the same seed. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state / 2_147_483_648
  }
}
