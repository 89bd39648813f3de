import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createMasterSocket } from '../../src/proxies/haproxy/master-socket.js'
import { cleanEnvironment, type RunningHostler } from '../support/hostler.js'
import { createRig, type Rig, type StackEntry } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const signal = new AbortController().signal
const hostOf = (stack: string) => `${stack}.ci.example.com`

describeWith(['haproxy'], 'a HAProxy that somebody else has started', () => {
  let rig: Rig
  let one: Upstream
  let two: Upstream
  let haproxy: ChildProcess | undefined
  const entry = (stack: string, upstream: Upstream, more: Partial<StackEntry> = {}): StackEntry => ({
    name: `${stack}-1`,
    stack,
    service: 'web',
    ...more,
    labels: { port: upstream.port, ...more.labels },
  })
  const master = () => createMasterSocket(rig.path('run/master.sock'), { timeoutMs: 10_000 })
  const reloads = async () => (await master().settled(signal)).master.reloads
  const applies = async (hostler: RunningHostler, how: string) => (await hostler.state()).proxies[0]?.applies[how] ?? 0
  const start = () => rig.start(['run'], { env: { HAPROXY_MASTER_SOCKET: rig.path('run/master.sock') } })

  /** As compose.sidecar.yml does. */
  async function startHaproxy(
    env: Record<string, string> = { HAPROXY_STATS_SOCKET: rig.path('run/haproxy-admin.sock') },
  ) {
    const args = ['-W', '-db', '-S', rig.path('run/master.sock'), '-f', rig.path('haproxy.cfg'), '-f', rig.path('out')]
    haproxy = spawn('haproxy', args, { env: cleanEnvironment(env), stdio: 'ignore' })
    await until('its master answers', () => master().processes(signal))
  }
  async function stopHaproxy() {
    if (haproxy?.exitCode !== null || haproxy.signalCode !== null) return
    const gone = once(haproxy, 'exit')
    haproxy.kill('SIGTERM')
    await gone
  }

  beforeEach(async () => {
    rig = await createRig({ HOSTLER_POLL_INTERVAL: '300ms' })
    ;[one, two] = [await startUpstream('one'), await startUpstream('two')]
    rig.keep(one, two)
    mkdirSync(rig.path('run'))
    rig.stacks([entry('base', one)])
  })
  afterEach(async () => {
    await rig?.close()
    await stopHaproxy()
  })

  test('is loaded once, and then changed without a reload: stacks come, scale and go', async () => {
    await startHaproxy()
    const hostler = await start()
    await rig.untilServedBy('one', hostOf('base'))
    expect(await reloads()).toBe(1)
    rig.stacks([entry('base', one), entry('late', two)])
    await rig.untilServedBy('two', hostOf('late'))
    rig.stacks([entry('base', one), entry('late', two), entry('late', one, { name: 'late-2' })])
    await rig.untilServedBy('one', hostOf('late'))
    rig.stacks([entry('base', one)])
    await until('late is gone', async () => (await rig.ask(hostOf('late'))).status === 404)
    expect(await reloads()).toBe(1)
    await until('each change was made at run time', async () => (await applies(hostler, 'runtime')) >= 3)
    expect((await hostler.state()).proxies[0]?.details).toMatchObject({ worker: expect.any(Number), 'old workers': 0 })
  })

  test('is not reloaded by a Hostler that comes anew when it has loaded what lies there', async () => {
    await startHaproxy()
    await (await start()).stop()
    expect(await reloads()).toBe(1)
    const second = await start()
    rig.stacks([entry('base', one), entry('late', two)])
    await rig.untilServedBy('two', hostOf('late'))
    expect([await reloads(), await applies(second, 'reload')]).toEqual([1, 0])
    // Now nobody but the second one knew what it has loaded.
    await second.stop()
    await start()
    await rig.untilServedBy('two', hostOf('late'))
    expect(await reloads()).toBe(2)
  })

  test('that is started anew serves at once, and is changed further without a reload', async () => {
    await startHaproxy()
    const hostler = await start()
    rig.stacks([entry('base', one), entry('late', two)])
    await rig.untilServedBy('two', hostOf('late'))
    const before = await applies(hostler, 'reload')
    await stopHaproxy()
    await startHaproxy()
    await rig.untilServedBy('two', hostOf('late'))
    rig.stacks([entry('base', one)])
    await until('late is gone', async () => (await rig.ask(hostOf('late'))).status === 404)
    expect([await reloads(), await applies(hostler, 'reload')]).toEqual([0, before])
  })

  test('without a stats socket is reloaded for every change, which is said once', async () => {
    await startHaproxy({})
    const hostler = await start()
    for (const stack of ['a', 'b']) {
      rig.stacks([entry('base', one), entry(stack, two)])
      await rig.untilServedBy('two', hostOf(stack))
    }
    expect(await applies(hostler, 'runtime')).toBe(0)
    expect(await reloads()).toBeGreaterThanOrEqual(3)
    expect(hostler.log().match(/has no stats socket here/g)).toHaveLength(1)
    expect(hostler.log()).toMatch(/"why":"there is no stats socket at [^"]*haproxy-admin\.sock"/)
  })
})
