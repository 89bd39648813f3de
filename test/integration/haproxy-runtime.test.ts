import { statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createMasterSocket } from '../../src/proxies/haproxy/master-socket.js'
import { createRuntimeSocket, type RuntimeSocket } from '../../src/proxies/haproxy/runtime/socket.js'
import { keepAliveClients } from '../support/haproxy.js'
import { describeHaproxys } from '../support/haproxy-bins.js'
import type { RunningHostler } from '../support/hostler.js'
import { createRig, type Rig, type StackEntry } from '../support/rig.js'
import { startUpstream, type Upstream } from '../support/upstreams.js'
import { until } from '../support/wait.js'

const signal = new AbortController().signal
const hostOf = (stack: string) => `${stack}.ci.example.com`

describeHaproxys([], 'changing the running HAProxy', ({ bin, atLeast }) => {
  let rig: Rig
  let hostler: RunningHostler
  let one: Upstream
  let two: Upstream
  let socket: RuntimeSocket
  const app = (stack: string, upstream: Upstream, more: Partial<StackEntry> = {}): StackEntry => ({
    name: `${stack}-1`,
    stack,
    service: 'web',
    ...more,
    labels: { port: upstream.port, ...more.labels },
  })
  const proxy = async () => (await hostler.state()).proxies[0]
  const applies = async (how: string) => (await proxy())?.applies[how] ?? 0
  const base = () => app('base', one)

  beforeAll(async () => {
    // A short pass: what somebody else changes is found then.
    rig = await createRig({ HAPROXY_BIN: bin, HOSTLER_POLL_INTERVAL: '300ms', HAPROXY_SPARE_BACKENDS: '4' })
    ;[one, two] = [await startUpstream('one'), await startUpstream('two')]
    rig.keep(one, two)
    rig.stacks([base()])
    hostler = await rig.start()
    socket = createRuntimeSocket(rig.path('state/haproxy-admin.sock'))
  })
  afterAll(() => rig?.close())

  test('twenty stacks come, scale and go without a reload, and without a failed request', async () => {
    const clients = keepAliveClients(`http://127.0.0.1:${rig.ports.http}/`, 4, { host: hostOf('base') })
    for (let round = 0; round < 20; round++) {
      const stack = `app-r${round}`
      rig.stacks([base(), app(stack, two)])
      await rig.untilServedBy('two', hostOf(stack))
      rig.stacks([base(), app(stack, two), app(stack, one, { name: `${stack}-2` })])
      await rig.untilServedBy('one', hostOf(stack))
      rig.stacks([base()])
      await until(`${stack} is gone`, async () => (await rig.ask(hostOf(stack))).status === 404)
    }
    const { failures } = await clients.stop()
    expect(failures).toEqual([])
    expect(await applies('reload')).toBe(0)
    // HAProxy shows the last one a moment before it is counted.
    await until('each was made at run time', async () => (await applies('runtime')) >= 60)
  })

  test('what was done step by step is what the files say: a restart serves the same', async () => {
    rig.stacks([base(), app('kept', two)])
    await rig.untilServedBy('two', hostOf('kept'))
    expect(rig.read('out/domain.map')).toContain(`${hostOf('kept')} kept\n`)
    expect(rig.read('out/haproxy-backends.cfg')).toContain('backend kept\n')
    const { pid } = (await proxy())?.details ?? {}
    process.kill(Number(pid), 'SIGKILL')
    await until('another HAProxy runs', async () => {
      const details = (await proxy())?.details
      return details?.['running'] === true && details['pid'] !== pid
    })
    await rig.untilServedBy('two', hostOf('kept'))
  })

  test('a server that somebody deleted and a stray map entry are put right by the next pass', async () => {
    rig.stacks([base()])
    await until('kept is gone', async () => (await rig.ask(hostOf('kept'))).status === 404)
    await socket.ask('set server base/base-1 state maint', signal)
    await socket.ask('del server base/base-1', signal)
    await socket.ask(`add map ${rig.path('out/domain.map')} stray.example.com base`, signal)
    await rig.untilServedBy('one', hostOf('base'))
    await until('the stray entry is gone', async () => (await rig.ask('stray.example.com')).status === 404)
  })

  test('a reload by somebody else loses nothing, and needs no second one', async () => {
    rig.stacks([base(), app('late', two)])
    await rig.untilServedBy('two', hostOf('late'))
    const before = await applies('reload')
    const { ctimeMs } = statSync(rig.path('out/domain.map'))
    await until('the files are older than what comes now', () => Date.now() > ctimeMs + 50)
    await createMasterSocket(rig.path('state/haproxy-master.sock'), { timeoutMs: 10_000 }).reload(signal)
    rig.stacks([base(), app('late', two), app('later', one)])
    await rig.untilServedBy('one', hostOf('later'))
    await rig.untilServedBy('two', hostOf('late'))
    expect(hostler.log()).toContain('has loaded the files as they are')
    expect(await applies('reload')).toBe(before)
  })

  test('with no spare left a reload brings the stack, and says why; no spare is needed from 3.4 on', async () => {
    const many = ['s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8']
    const before = await applies('reload')
    rig.stacks([base(), ...many.map((stack) => app(stack, two))])
    for (const stack of many) await rig.untilServedBy('two', hostOf(stack))
    if (atLeast(3, 4)) {
      const backends = (await socket.ask('show backend', signal)).text.split('\n')
      expect(backends).toEqual(expect.arrayContaining(many))
      expect([await applies('reload'), (await proxy())?.details['spares in use']]).toEqual([before, 0])
      return
    }
    await until('the reload is told', () => /"how":"reload","ms":\d+,"why":"[^"]*spare/.test(hostler.log()))
    const told = JSON.stringify((await proxy())?.changes)
    expect(told).toMatch(
      /"how":"reload","ms":[\d.]+,"backends":\{[^}]*"s[1-8]"[^}]*\},"files":\[[^\]]*\],"why":"[^"]*spare/,
    )
  })

  test('an option that only a load can bring is a reload, and says which', async () => {
    rig.stacks([base(), app('sticky', two, { labels: { sticky: 'true' } })])
    await rig.untilServedBy('two', hostOf('sticky'))
    await until('the reload is told', () => /"how":"reload","ms":\d+,"why":"[^"]*sticky/.test(hostler.log()))
  })

  test('a removed server finishes the request that it has', async () => {
    let release: () => void = () => undefined
    let arrive: () => void = () => undefined
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve
    })
    const slow = createServer((_, response) => {
      release = () => response.end('done')
      arrive()
    })
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve))
    rig.keep({
      port: 0,
      status: 200,
      hits: () => 0,
      close: async () => {
        slow.closeAllConnections()
        slow.close()
      },
    })
    const { port } = slow.address() as AddressInfo
    rig.stacks([base(), app('slow', two, { labels: { port } })])
    let answer = rig.ask(hostOf('slow'))
    // It has no server yet when its hostname is new.
    await until('slow has the request', async () => {
      if (await Promise.race([arrived.then(() => true), answer.then(() => false)])) return true
      answer = rig.ask(hostOf('slow'))
      return false
    })
    rig.stacks([base()])
    await until(
      'slow is gone',
      async () => !(await socket.ask(`show map ${rig.path('out/domain.map')}`, signal)).text.includes('slow'),
    )
    release()
    expect(await answer).toMatchObject({ status: 200, body: 'done' })
  })

  test('without a stats socket every change is a reload', async () => {
    const other = await createRig({ HAPROXY_BIN: bin })
    try {
      other.write(
        'haproxy.cfg',
        'global\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n',
      )
      other.stacks([base()])
      const running = await other.start()
      other.stacks([base(), app('more', two)])
      await other.untilServedBy('two', hostOf('more'))
      const last = await until('the reload is told', async () => {
        const applied = (await running.state()).proxies[0]?.changes[0]
        return applied?.how === 'reload' && applied
      })
      expect(last.why).toContain('no stats socket')
      expect(running.log().match(/has no stats socket here/g)).toHaveLength(1)
    } finally {
      await other.close()
    }
  })
})
