import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { systemClock } from '../../../../src/lib/clock.js'
import { codeOf, type HostlerError } from '../../../../src/lib/errors.js'
import { silentLogger } from '../../../../src/lib/logger.js'
import { createExecutor } from '../../../../src/proxies/haproxy/runtime/executor.js'
import { readRunning } from '../../../../src/proxies/haproxy/runtime/state.js'
import type { Step } from '../../../../src/proxies/haproxy/runtime/types.js'
import { type ExecutorRig, openTunnel, startExecutorRig, startTunnelServer } from '../../../support/executor-rig.js'
import { keepAliveClients } from '../../../support/haproxy.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { until } from '../../../support/wait.js'

const signal = new AbortController().signal

const addServer = (backend: string, server: string, port: number, ...options: string[]): Step => ({
  kind: 'add-server',
  backend,
  server,
  address: '127.0.0.1',
  port,
  options,
})
const removeServer = (backend: string, server: string): Step => ({ kind: 'remove-server', backend, server })
const addEntry = (key: string, value: string): Step => ({ kind: 'add-map-entry', map: 'hosts.map', key, value })
const removeEntry = (key: string): Step => ({ kind: 'remove-map-entry', map: 'hosts.map', key })

describeHaproxys(['openssl'], 'steps', (program) => {
  let rig: ExecutorRig
  beforeAll(async () => {
    rig = await startExecutorRig(program.bin)
  })
  afterAll(() => rig?.stop())

  const failing = async (...steps: Step[]) => {
    const thrown: unknown = await rig.run(...steps).catch((error: unknown) => error)
    const { code, message, cause } = thrown as HostlerError
    return { code, message, cause: codeOf(cause) }
  }

  test('a server takes requests as soon as it is added, with checks and without, again and again', async () => {
    const { port } = rig.upstreams[0]!
    for (const options of [[], ['check', 'inter', '2s', 'weight', '3'], ['maxconn', '20']]) {
      for (let round = 0; round < 10; round++) {
        await rig.run(addServer('spare', 'fresh', port, ...options), addEntry('fresh.example', 'spare'))
        expect((await rig.get('fresh.example')).status).toBe(200)
        await rig.run(removeEntry('fresh.example'), removeServer('spare', 'fresh'))
        await until('the server is deleted', async () => (await rig.servers('spare')).length === 0)
      }
    }
  })

  test('a checked server that stops answering its checks gets no more requests', async () => {
    const { port } = rig.upstreams[0]!
    await rig.run(
      addServer('spare', 'good', port, 'check', 'inter', '50ms', 'fall', '2'),
      addServer('spare', 'dead', 1, 'check', 'inter', '50ms', 'fall', '2'),
      addEntry('checked.example', 'spare'),
    )
    await until('its checks have failed', async () =>
      /^\d+ spare \d+ dead \S+ 0 /m.test(await rig.haproxy.ask('show servers state spare')),
    )
    await rig.run(removeEntry('checked.example'), removeServer('spare', 'good'), removeServer('spare', 'dead'))
    await until('both are deleted', async () => (await rig.servers('spare')).length === 0)
  })

  test('requests that wait for another try at a server that is removed do no harm', async () => {
    const worker = async () => /^Pid: (\d+)$/m.exec(await rig.haproxy.ask('show info'))?.[1]
    const before = await worker()
    for (let round = 0; round < 3; round++) {
      await rig.run(addServer('spare', 'gone', 1), addEntry('gone.example', 'spare'))
      const answers = Array.from({ length: 20 }, () => rig.get('gone.example').catch(() => undefined))
      await until('requests have tried', async () =>
        /^spare,gone,(?:[^,]*,){13}[1-9]/m.test(await rig.haproxy.ask('show stat spare 4 -1')),
      )
      await rig.run(removeServer('spare', 'gone'))
      await Promise.all(answers)
      await until('it is deleted', async () => (await rig.servers('spare')).length === 0)
      await rig.run(removeEntry('gone.example'))
    }
    expect(await worker()).toBe(before)
  })

  test('no request fails while servers come and go', async () => {
    const clients = keepAliveClients(rig.haproxy.url, 8, { host: 'pair.example' })
    for (let round = 0; round < 30; round++) {
      await rig.run(addServer('pair', 'extra', rig.upstreams[round % 2]!.port))
      const before = clients.answered()
      await until('clients were answered', () => clients.answered() > before + 8)
      await rig.run(removeServer('pair', 'extra'))
    }
    const { answered, failures } = await clients.stop()
    expect(failures).toEqual([])
    expect(answered).toBeGreaterThan(200)
    await until('the last one is deleted', async () => !(await rig.servers('pair')).includes('extra'))
  })

  test('a request under way when its server is removed is answered in full, and then the server is deleted', async () => {
    await rig.run(addServer('spare', 'slow', rig.app.port), addEntry('slow.example', 'spare'))
    const answer = rig.get('slow.example', '/slow')
    await until('it is under way', () => rig.app.waiting() === 1)
    await rig.run(removeServer('spare', 'slow'))
    expect(rig.executor.describe()).toEqual([
      expect.objectContaining({ kind: 'server', backend: 'spare', server: 'slow', worker: expect.anything() }),
    ])
    expect((await rig.get('slow.example')).status).toBe(503)
    expect(await rig.servers('spare')).toEqual(['slow'])
    rig.app.finish()
    expect(await answer).toEqual({ status: 200, body: 'slow done' })
    await until('it is deleted', async () => (await rig.servers('spare')).length === 0)
    await until('nothing is pending', () => rig.executor.describe().length === 0)
    await rig.run(removeEntry('slow.example'))
  })

  test('a WebSocket outlives the removal of its server, and its end completes it', async () => {
    const server = await startTunnelServer()
    await rig.run(addServer('spare', 'ws', server.port), addEntry('ws.example', 'spare'))
    const tunnel = await openTunnel(rig.haproxy.port, 'ws.example')
    await rig.run(removeServer('spare', 'ws'))
    for (let round = 0; round < 5; round++) {
      expect(await tunnel.echo(`hello ${round}`)).toBe(`hello ${round}`)
      expect(await rig.servers('spare')).toEqual(['ws'])
    }
    tunnel.end()
    await until('it is deleted', async () => (await rig.servers('spare')).length === 0)
    await rig.run(removeEntry('ws.example'))
    await server.close()
  })

  test('a server wanted again while it is removed is ready again with its connections', async () => {
    const [zero, one] = rig.upstreams
    await rig.run(addServer('spare', 'again', rig.app.port), addEntry('again.example', 'spare'))
    const answer = rig.get('again.example', '/slow')
    await until('a request is under way', () => rig.app.waiting() === 1)
    await rig.run(removeServer('spare', 'again'))
    await rig.run({ kind: 'set-ready', backend: 'spare', server: 'again' })
    expect(rig.executor.describe()).toEqual([])
    expect((await rig.get('again.example')).body).toBe('app')

    // Another one of that name waits until the first one has gone.
    await rig.run(removeServer('spare', 'again'))
    setTimeout(() => rig.app.finish(), 100)
    await rig.run(addServer('spare', 'again', one!.port))
    expect((await answer).body).toBe('slow done')
    expect(JSON.parse((await rig.get('again.example')).body)).toMatchObject({ app: 'one' })
    await rig.run(removeServer('spare', 'again'), addServer('spare', 'again', zero!.port))
    expect(JSON.parse((await rig.get('again.example')).body)).toMatchObject({ app: 'zero' })
    await rig.run(removeServer('spare', 'again'), removeEntry('again.example'))
    await until('it is deleted', async () => (await rig.servers('spare')).length === 0)
  })

  test('a server that does not finish stands in the way of another of its name, after a while', async () => {
    const hasty = { ...systemClock, elapsed: () => performance.now() * 20 }
    const stop = new AbortController()
    const { signal } = stop
    const executor = createExecutor({ socket: rig.haproxy.socket, clock: hasty, log: silentLogger(), signal })
    await executor.run([addServer('spare', 'stuck', rig.app.port), addEntry('stuck.example', 'spare')], signal)
    const answer = rig.get('stuck.example', '/slow')
    await until('a request is under way', () => rig.app.waiting() === 1)
    await executor.run([removeServer('spare', 'stuck')], signal)
    await expect(executor.run([addServer('spare', 'stuck', rig.app.port)], signal)).rejects.toMatchObject({
      code: 'HAPROXY_STEP_FAILED',
      cause: expect.objectContaining({ code: 'HAPROXY_SERVER_BUSY' }),
    })
    expect(executor.describe()).toHaveLength(1)
    // Its removal ends with its signal, and is taken up by whoever asks for it next.
    stop.abort()
    await rig.run(removeServer('spare', 'stuck'))
    rig.app.finish()
    await answer
    await until('it is deleted', async () => (await rig.servers('spare')).length === 0)
    await rig.run(removeEntry('stuck.example'))
  })

  test('a removal that takes too long is no longer watched, and gets no requests all the same', async () => {
    const stop = new AbortController()
    const { signal } = stop
    const options = { socket: rig.haproxy.socket, clock: systemClock, log: silentLogger(), signal, giveUpAfterMs: 1 }
    const executor = createExecutor(options)
    await executor.run([addServer('spare', 'long', rig.app.port), addEntry('long.example', 'spare')], signal)
    const answer = rig.get('long.example', '/slow')
    await until('a request is under way', () => rig.app.waiting() === 1)
    await executor.run([removeServer('spare', 'long')], signal)
    await until('it is given up', () => executor.describe().length === 0)
    expect(await rig.servers('spare')).toEqual(['long'])
    expect((await rig.get('long.example')).status).toBe(503)
    rig.app.finish()
    expect((await answer).body).toBe('slow done')
    stop.abort()
    await rig.run(removeServer('spare', 'long'), removeEntry('long.example'))
    await until('it is deleted', async () => (await rig.servers('spare')).length === 0)
  })

  test('an address changes at once, IPv6 included', async () => {
    const [zero, one] = rig.upstreams
    const change = (address: string, port: number): Step => ({
      kind: 'set-address',
      backend: 'spare',
      server: 'moved',
      address,
      port,
    })
    await rig.run(addServer('spare', 'moved', zero!.port), addEntry('moved.example', 'spare'))
    for (let round = 0; round < 20; round++) {
      const [to, name] = round % 2 === 0 ? [one!, 'one'] : [zero!, 'zero']
      await rig.run(change('127.0.0.1', to.port), change('127.0.0.1', to.port))
      expect(JSON.parse((await rig.get('moved.example')).body)).toMatchObject({ app: name })
    }
    await rig.run(change('0:0::1', 9))
    expect(await rig.haproxy.ask('show servers state spare')).toMatch(/ moved ::1 /)
    await rig.run(removeServer('spare', 'moved'), removeEntry('moved.example'))
    await until('it is deleted', async () => (await rig.servers('spare')).length === 0)
  })

  test('weights decide who gets requests', async () => {
    const weigh = (weight: number): Step => ({ kind: 'set-weight', backend: 'pair', server: 's2', weight })
    await rig.run(weigh(0))
    const before = rig.upstreams[1]!.hits()
    for (let i = 0; i < 6; i++) await rig.get('pair.example')
    expect(rig.upstreams[1]!.hits()).toBe(before)
    await rig.run(weigh(1))
    for (let i = 0; i < 6; i++) await rig.get('pair.example')
    expect(rig.upstreams[1]!.hits()).toBeGreaterThan(before)
  })

  test('what HAProxy would take for something else is not sent', async () => {
    const unsafe: Step[] = [
      { kind: 'add-server', backend: 'spare', server: 'x', address: 'localhost', port: 80, options: [] },
      addServer('spare', 'x', 99_999),
      { kind: 'set-address', backend: 'pair', server: 's1', address: '127.0.0.1', port: 99_999 },
      { kind: 'set-weight', backend: 'pair', server: 's1', weight: 257 },
      { kind: 'add-map-entry', map: '#1', key: 'a', value: 'b' },
      { kind: 'remove-map-entry', map: 'hosts.map', key: '#0x1' },
      { kind: 'replace-map', map: 'hosts.map', entries: new Map([['a', 'b\n\nshow info']]) },
      { kind: 'add-certificate', path: 'a.pem:1', pem: '', list: 'certificates.list', lines: [] },
    ]
    for (const step of unsafe) {
      expect(await failing(step)).toMatchObject({ code: 'HAPROXY_STEP_FAILED', cause: 'HAPROXY_STEP_UNSAFE' })
    }
    const injected = addEntry('x.example', 'pair; shutdown sessions server pair/s1\nshow info')
    expect((await failing(injected)).code).toBe('HAPROXY_STEP_FAILED')
    await rig.run(addEntry('x.example', 'pair; disable frontend web'), removeEntry('x.example'))
    expect((await rig.get('pair.example')).status).toBe(200)
  })

  test('after a step that fails nothing more is tried, and the error says which and why', async () => {
    const { port } = rig.upstreams[0]!
    const failed = await failing(
      addServer('spare', 'first', port),
      addServer('static', 'x', port),
      addServer('spare', 'last', port),
    )
    expect(failed).toEqual({
      code: 'HAPROXY_STEP_FAILED',
      cause: 'HAPROXY_REFUSED',
      message: expect.stringMatching(
        /^Step 2 of 3 \(add server static\/x at 127\.0\.0\.1:\d+\) failed: HAProxy refused `add server .*dynamic/,
      ),
    })
    expect(await rig.servers('spare')).toEqual(['first'])
    await rig.run(removeServer('spare', 'first'))
    expect(await failing(addEntry('ok.example', 'pair'), removeEntry('nobody.example'))).toMatchObject({
      message: expect.stringContaining('Step 2 of 2 (remove nobody.example from hosts.map) failed'),
    })
    await rig.run(removeEntry('ok.example'))
  })

  test('an error and a removal that takes long speak of the backend that a spare serves', async () => {
    const spares = { used: new Map([['shop', 'spare']]) }
    const run = (...steps: Step[]) => rig.executor.run(steps, new AbortController().signal, { spares })
    await run(addServer('spare', 'slow', rig.app.port), addEntry('slow.example', 'spare'))
    const again = addServer('spare', 'slow', rig.app.port)
    await expect(run(again)).rejects.toThrow(/\(add server shop\/slow at 127\.0\.0\.1:\d+ \[spare\]\) failed/)
    const answer = rig.get('slow.example', '/slow')
    await until('it is under way', () => rig.app.waiting() === 1)
    await run(removeEntry('slow.example'), removeServer('spare', 'slow'))
    expect(rig.executor.describe()).toMatchObject([{ backend: 'spare', serves: 'shop', server: 'slow' }])
    rig.app.finish()
    await answer
    await until('nothing is pending', () => rig.executor.describe().length === 0)
  })

  test('a backend is added on 3.4 and later, takes requests, and is removed after its servers', async () => {
    const add: Step = { kind: 'add-backend', backend: 'born', defaults: 'base' }
    if (!program.atLeast(3, 4)) {
      expect(await failing(add)).toMatchObject({ cause: 'HAPROXY_REFUSED' })
      return
    }
    await rig.run(add, addServer('born', 's1', rig.app.port), addEntry('born.example', 'born'))
    const answer = rig.get('born.example', '/slow')
    await until('a request is under way', () => rig.app.waiting() === 1)
    await rig.run(removeEntry('born.example'), removeServer('born', 's1'), {
      kind: 'remove-backend',
      backend: 'born',
    })
    expect(rig.executor.describe().map(({ kind }) => kind)).toEqual(['server', 'backend'])
    rig.app.finish()
    expect((await answer).body).toBe('slow done')
    await until('nothing is pending', () => rig.executor.describe().length === 0)
    expect(await rig.haproxy.ask('show backend')).not.toContain('born')
  })

  test('a removal is forgotten when the worker that had it is replaced', async () => {
    await rig.run(addServer('spare', 'old', rig.app.port), addEntry('old.example', 'spare'))
    const answer = rig.get('old.example', '/slow')
    await until('a request is under way', () => rig.app.waiting() === 1)
    await rig.run(removeServer('spare', 'old'))
    await rig.haproxy.reload()
    await until('it is forgotten', () => rig.executor.describe().length === 0)
    rig.app.finish()
    expect((await answer).body).toBe('slow done')
  })

  test('nothing is done at another worker than the one that was planned for', async () => {
    const { pid, startedAt } = await readRunning(rig.haproxy.socket, { maps: [] }, signal)
    const worker = { pid, ...(startedAt !== undefined && { startedAt }) }
    const steps = [addEntry('planned.example', 'pair')]
    for (const other of [{ pid: pid + 1 }, { pid, startedAt: (startedAt ?? 0) - 1 }]) {
      await expect(rig.executor.run(steps, signal, { worker: other })).rejects.toMatchObject({
        code: 'HAPROXY_WORKER_REPLACED',
      })
    }
    expect((await rig.get('planned.example')).status).toBe(503)
    expect(await rig.executor.run(steps, signal, { worker })).toMatchObject({ done: 1, worker })
    await rig.run(removeEntry('planned.example'))
  })

  test('an abort ends a run with its own reason', async () => {
    const stop = new AbortController()
    const entries = new Map(Array.from({ length: 20_000 }, (_, i) => [`${i}.example`, 'pair']))
    const running = rig.executor.run([{ kind: 'replace-map', map: 'hosts.map', entries }], stop.signal)
    setTimeout(() => stop.abort(new Error('enough')), 10)
    await expect(running).rejects.toThrow('enough')
    expect((await rig.get('pair.example')).status).toBe(200)
  })
})
