import { resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { loadConfig } from '../../src/config/load.js'
import { systemClock } from '../../src/lib/clock.js'
import { silentLogger } from '../../src/lib/logger.js'
import { createReaper } from '../../src/lifecycle/reaper.js'
import type { Plan } from '../../src/model/plan.js'
import { createPlanner } from '../../src/model/planner.js'
import { createHaproxy } from '../../src/proxies/haproxy/index.js'
import { createMasterSocket } from '../../src/proxies/haproxy/master-socket.js'
import { createRuntimeSocket } from '../../src/proxies/haproxy/runtime/socket.js'
import type { BackendActivity, Proxy } from '../../src/proxies/proxy.js'
import { createPublisher } from '../../src/publish/publisher.js'
import { openTunnel, startTunnelServer } from '../support/executor-rig.js'
import { instance, rules } from '../support/instances.js'
import { member, pretendWorld } from '../support/reaper-world.js'
import { createRig, type Rig } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const { signal } = new AbortController()
const hostOf = (stack: string) => `${stack}.ci.example.com`

const settingsOf = (rig: Rig) => loadConfig({ env: { ...rig.env, HOSTLER_PUBLIC_LISTEN: '127.0.0.1:1' } }).settings

/** HAProxy as the reconciler drives it, without the rest of the program. */
async function drive(rig: Rig) {
  const log = silentLogger()
  const proxy = createHaproxy(settingsOf(rig), { log, clock: systemClock, duty: 'drive' })
  const publisher = createPublisher({ root: resolve(proxy.root), log })
  await publisher.recover()
  await proxy.start?.(signal)
  return {
    proxy,
    async use(plan: Plan): Promise<string> {
      const stage = await publisher.stage(proxy.render(plan))
      expect(await proxy.check(stage, signal)).toMatchObject({ ok: true })
      if (stage.changed) await stage.commit()
      else await stage.discard()
      return (await proxy.apply(signal, signal)).how
    },
    async stop() {
      await proxy.stop?.()
      await publisher.close()
    },
  }
}

const activityOf = async (proxy: Proxy): Promise<Record<string, BackendActivity>> =>
  Object.fromEntries((await proxy.activity?.(signal))?.map((one) => [one.backend, one]) ?? [])

describeWith(['haproxy'], 'the traffic of HAProxy', () => {
  let rig: Rig
  let driven: Awaited<ReturnType<typeof drive>>
  let web: Upstream
  let tunnels: Awaited<ReturnType<typeof startTunnelServer>>
  const planner = createPlanner({ ...rules, domain: 'ci.example.com' })
  const known = new Map<string, ReturnType<typeof instance>>()
  const planOf = (...stacks: [name: string, port: number][]) =>
    planner(
      stacks.map(([stack, port]) => {
        const networks = [{ name: 'web', address: '127.0.0.1', shared: true }]
        const made = known.get(stack) ?? instance(stack, { port: String(port) }, { networks })
        known.set(stack, made)
        return made
      }),
    )
  const master = () => createMasterSocket(rig.path('state/haproxy-master.sock'), { timeoutMs: 10_000 })
  const stats = () => createRuntimeSocket(rig.path('state/haproxy-admin.sock'))
  const read = () => activityOf(driven.proxy)
  /** A reload of ours: the base configuration has changed. */
  let edits = 0
  async function reload(plan: Plan) {
    rig.write('haproxy.cfg', `${rig.read('haproxy.cfg')}\nglobal\n  setenv EDIT ${edits++}\n`)
    expect(await driven.use(plan)).toBe('reload')
  }

  beforeAll(async () => {
    rig = await createRig({ HAPROXY_SPARE_BACKENDS: '4' })
    ;[web, tunnels] = [await startUpstream('web'), await startTunnelServer()]
    rig.keep(web)
    driven = await drive(rig)
  })
  afterAll(async () => {
    await driven?.stop()
    await tunnels?.close()
    await rig?.close()
  })

  test('is told by the names of the plan, for a stack that a spare backend serves too, and for no backend of our own', async () => {
    expect(await driven.use(planOf(['first', web.port]))).toBe('start')
    expect(await driven.use(planOf(['first', web.port], ['late', web.port]))).toBe('runtime')
    for (const host of ['first', 'late', 'late']) expect((await rig.ask(hostOf(host))).status).toBe(200)
    const found = await read()
    expect(Object.keys(found).sort()).toEqual(['first', 'late'])
    expect(found['first']).toMatchObject({ total: 1, current: 0, quietMs: expect.any(Number) })
    expect(found['late']).toMatchObject({ total: 2, current: 0, counting: found['first']?.counting })
    expect((await stats().ask('show stat -1 2 -1', signal)).text).toMatch(/^hostler_spare_\d+,BACKEND,\S*,2,/m)
  })

  test('goes on across reloads as one count', async () => {
    const plan = planOf(['first', web.port], ['late', web.port])
    const before = await read()
    for (let round = 0; round < 3; round++) {
      await reload(plan)
      expect((await rig.ask(hostOf('late'))).status).toBe(200)
    }
    const after = await read()
    expect(after['first']).toMatchObject({ total: 1, counting: before['first']?.counting })
    expect(after['late']).toMatchObject({ total: 5, counting: before['late']?.counting })
    expect(after['first']?.quietMs).toBeGreaterThanOrEqual(before['first']?.quietMs ?? Number.NaN)
  })

  test('a stack that nobody ever asked has none, and no last time', async () => {
    await reload(planOf(['first', web.port], ['late', web.port], ['lonely', web.port]))
    const { lonely } = await read()
    expect(lonely).toMatchObject({ total: 0, current: 0 })
    expect(lonely).not.toHaveProperty('quietMs')
  })

  test('a silent WebSocket is open for as long as it lasts, however many workers ago', async () => {
    // On a spare at first, whose name means nothing to the workers that come after.
    const plan = planOf(['first', web.port], ['late', web.port], ['lonely', web.port], ['socket', tunnels.port])
    expect(await driven.use(plan)).toBe('runtime')
    const tunnel = await openTunnel(rig.ports.http, hostOf('socket'))
    expect((await read())['socket']).toMatchObject({ total: 1, current: 1 })
    for (let round = 0; round < 3; round++) {
      await reload(plan)
      const { socket } = await read()
      expect(socket).toMatchObject({ total: 1, current: 1 })
      // As of the moment at which its worker was asked.
      expect(socket?.quietMs).toBeLessThan(1000)
    }
    expect((await master().processes(signal)).oldWorkers).toHaveLength(1)
    expect(await tunnel.echo('still there')).toBe('still there')
    tunnel.end()
    await until('its worker has ended', async () => (await master().processes(signal)).oldWorkers.length === 0)
    expect((await read())['socket']).toMatchObject({ total: 1, current: 0, quietMs: expect.any(Number) })
  })

  test('a reload by somebody else is a new counting, for what came before it may be missed', async () => {
    const before = await read()
    await master().reload(signal)
    const after = await read()
    expect(after['first']?.counting).not.toBe(before['first']?.counting)
    expect((await read())['first']?.counting).toBe(after['first']?.counting)
  })

  test('keeps a silent WebSocket awake over ten times its idle time and three reloads, and nobody else', async () => {
    const world = pretendWorld()
    const here = { networks: [{ name: 'web', address: '127.0.0.1', shared: true }] }
    world.has(
      member('quiet', { port: String(web.port), idle: '300ms' }, here),
      member('holding', { port: String(tunnels.port), idle: '300ms' }, here),
    )
    await driven.use(world.plan())
    const tunnel = await until('the tunnel is open', () => openTunnel(rig.ports.http, hostOf('holding')))
    let looks = 0
    const activity = async (until: AbortSignal) => {
      looks++
      return (await driven.proxy.activity?.(until)) ?? []
    }
    const { waker, sleeper, rules } = world
    const settings = { sleep: { interval: 100, dryRun: false, quietBytes: 1 }, stateDir: tempDir() }
    const proxies = [{ name: 'haproxy', activity }]
    const clock = systemClock
    const reaper = createReaper({ world, waker, sleeper, proxies, settings, rules, clock, log: silentLogger() })
    try {
      await reaper.start()
      await until('the other one sleeps', () => world.asked.includes('sleep quiet idle'))
      for (let round = 1; round <= 3; round++) {
        await reload(world.plan())
        await until('it has looked often enough', () => looks >= round * 12)
      }
      expect(world.asked).toEqual(['sleep quiet idle'])
      expect(await tunnel.echo('still there')).toBe('still there')
      tunnel.end()
      await until('it sleeps too', () => world.asked.includes('sleep holding idle'))
    } finally {
      await reaper.stop()
    }
  })

  test('a worker that was there before Hostler is asked before it is replaced, and knows whom its spares served', async () => {
    const other = await createRig({ HAPROXY_SPARE_BACKENDS: '4' })
    rig.keep({ ...web, close: () => other.close() })
    other.stacks([{ name: 'first', labels: { port: web.port } }])
    const hostler = await other.start()
    other.stacks([
      { name: 'first', labels: { port: web.port } },
      { name: 'socket', labels: { port: tunnels.port } },
    ])
    await until('both are served', async () => (await hostler.state()).plan.backends.length === 2)
    await other.untilServedBy('web', hostOf('first'))
    const tunnel = await until('the tunnel is open', () => openTunnel(other.ports.http, hostOf('socket')))
    const { plan } = await until('it came without a reload', async () => {
      const state = await hostler.state()
      const { runtime = 0, reload = 0 } = state.proxies[0]?.applies ?? {}
      return runtime > 0 && reload === 0 && state
    })
    await hostler.stop('SIGKILL')
    const next = await drive(other)
    try {
      await next.use(plan)
      const found = await activityOf(next.proxy)
      expect(found['first']).toMatchObject({ current: 0, quietMs: expect.any(Number) })
      expect(found['first']?.total).toBeGreaterThan(0)
      expect(found['socket']).toMatchObject({ current: 1 })
      expect(await tunnel.echo('on')).toBe('on')
    } finally {
      tunnel.end()
      await next.stop()
    }
  })

  test('cannot be told while HAProxy does not answer', async () => {
    await driven.proxy.stop?.()
    await expect(driven.proxy.activity?.(signal)).rejects.toMatchObject({ code: 'HAPROXY_SOCKET_UNREACHABLE' })
  })

  test('cannot be told before there is a plan', async () => {
    const fresh = createHaproxy(settingsOf(rig), { log: silentLogger(), clock: systemClock, duty: 'drive' })
    await expect(fresh.activity?.(signal)).rejects.toMatchObject({ code: 'HAPROXY_ACTIVITY' })
  })
})
