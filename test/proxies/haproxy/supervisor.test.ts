import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { createMasterSocket } from '../../../src/proxies/haproxy/master-socket.js'
import { alive, ask, createApp, createBench, keepAliveClients } from '../../support/haproxy.js'
import { describeHaproxys } from '../../support/haproxy-bins.js'
import { supervision, takePort } from '../../support/supervision.js'
import { tempDir } from '../../support/temp.js'
import { until } from '../../support/wait.js'

const signal = new AbortController().signal

describeHaproxys([], 'supervisor', ({ bin }) => {
  const { supervise, running, keep } = supervision(bin)

  test('serves when start has resolved, and loads new content on reload', async () => {
    const { bench, supervisor, started } = await running()
    expect(started).toMatchObject({ how: 'started', reload: { ok: true } })
    expect(await ask(bench.url)).toBe('v1')
    bench.write('v2')
    const result = await supervisor.reload(signal)
    expect(result).toMatchObject({ ok: true })
    expect(result.workerPid).not.toBe(started.reload.workerPid)
    expect(await ask(bench.url)).toBe('v2')
    expect(supervisor.describe()).toMatchObject({ running: true, reloads: 1, deaths: 0, worker: result.workerPid })
  })

  test('a reload onto a broken configuration fails with the reason, and the old one goes on serving', async () => {
    const { bench, supervisor } = await running()
    bench.write('v2', '    nonsense here\n')
    expect(await supervisor.reload(signal)).toMatchObject({ ok: false, log: expect.stringContaining('nonsense') })
    expect(await ask(bench.url)).toBe('v1')
    bench.write('v3')
    expect(await supervisor.reload(signal)).toMatchObject({ ok: true })
    expect(await ask(bench.url)).toBe('v3')
  })

  test('a reload onto a port that is taken fails, and the old configuration goes on serving', async () => {
    const { bench, supervisor } = await running()
    const other = await createBench(tempDir())
    keep(await takePort(other.port))
    bench.write('v2', `frontend more\n    bind 127.0.0.1:${other.port}\n`)
    expect(await supervisor.reload(signal)).toMatchObject({ ok: false, log: expect.stringContaining('cannot bind') })
    expect(await ask(bench.url)).toBe('v1')
  })

  test('a reload that adds a port that is known to be taken is not tried, so that nobody is refused meanwhile', async () => {
    const bench = await createBench(tempDir())
    const other = await createBench(tempDir())
    let ports = [{ port: bench.port }]
    const supervisor = supervise(bench, { ports: () => ports })
    await supervisor.start(signal)
    keep(await takePort(other.port))
    ports = [...ports, { port: other.port }]
    await expect(supervisor.reload(signal)).rejects.toMatchObject({ code: 'HAPROXY_PORT_TAKEN' })
    expect(supervisor.describe()).toMatchObject({ reloads: 0 })
    ports = ports.slice(0, 1)
    expect(await supervisor.reload(signal)).toMatchObject({ ok: true })
  })

  test('four reloads at once take turns', async () => {
    const { supervisor } = await running()
    const results = await Promise.all([1, 2, 3, 4].map(() => supervisor.reload(signal)))
    expect(results.map(({ ok }) => ok)).toEqual([true, true, true, true])
    expect(new Set(results.map(({ workerPid }) => workerPid)).size).toBe(4)
  })

  test('twenty reloads break no request of four keep-alive clients', async () => {
    const { bench, supervisor } = await running()
    const clients = keepAliveClients(bench.url, 4)
    for (let round = 0; round < 20; round++) {
      const before = clients.answered()
      expect(await supervisor.reload(signal)).toMatchObject({ ok: true })
      await until('the clients go on', () => clients.answered() > before + 8)
    }
    expect((await clients.stop()).failures).toEqual([])
  })

  test('starts HAProxy again when its worker is killed', async () => {
    const { bench, supervisor, started } = await running()
    const first = supervisor.pid()
    process.kill(Number(started.reload.workerPid), 'SIGKILL')
    await until('another one runs', () => supervisor.pid() !== undefined && supervisor.pid() !== first)
    expect(await ask(bench.url)).toBe('v1')
    expect(supervisor.describe()).toMatchObject({ deaths: 1 })
  })

  test('starts HAProxy again when its master is killed', async () => {
    const { bench, supervisor } = await running()
    const first = Number(supervisor.pid())
    process.kill(first, 'SIGKILL')
    await until('another one runs', () => supervisor.pid() !== undefined && supervisor.pid() !== first)
    await until('it answers', () => ask(bench.url))
  })

  test('goes on trying while the configuration is broken, and a reload need not wait for the pause', async () => {
    const pauses: number[] = []
    const { bench, supervisor, started } = await running({
      backoff: { next: () => (pauses.push(1) > 2 ? 60_000 : 10), reset: () => undefined },
    })
    bench.write('v2', '    nonsense here\n')
    process.kill(Number(started.reload.workerPid), 'SIGKILL')
    await until('it has given up twice', () => pauses.length > 2)
    expect(supervisor.running()).toBe(false)
    bench.write('v3')
    expect(await supervisor.reload(signal)).toMatchObject({ ok: true })
    expect(await ask(bench.url)).toBe('v3')
  })

  test('a graceful stop lets a slow request finish', async () => {
    const app = await createApp()
    keep(app.close)
    const { bench, supervisor } = await running()
    bench.write('v1', `    server s 127.0.0.1:${app.port}\n`)
    await supervisor.reload(signal)
    const answer = ask(`${bench.url}app/slow`)
    await until('the request is under way', () => app.waiting() === 1)
    const pid = Number(supervisor.pid())
    const stopped = supervisor.stop()
    await until('no new connection is taken', () =>
      ask(bench.url).then(
        () => false,
        () => true,
      ),
    )
    expect(alive(pid)).toBe(true)
    app.finish()
    expect(await answer).toBe('slow done')
    await stopped
    expect(alive(pid)).toBe(false)
    expect(supervisor.running()).toBe(false)
  })

  test('a stop does not wait longer than it may', async () => {
    const app = await createApp()
    keep(app.close)
    const { bench, supervisor } = await running({ stopTimeoutMs: 100 })
    bench.write('v1', `    server s 127.0.0.1:${app.port}\n`)
    await supervisor.reload(signal)
    const answer = ask(`${bench.url}app/slow`).catch((error) => error)
    await until('the request is under way', () => app.waiting() === 1)
    const pid = Number(supervisor.pid())
    await supervisor.stop()
    expect(alive(pid)).toBe(false)
    expect(await answer).toHaveProperty('code', 'ECONNRESET')
  })

  test('starts nothing after it was stopped', async () => {
    const { supervisor } = await running()
    await supervisor.stop()
    await expect(supervisor.reload(signal)).rejects.toMatchObject({ code: 'HAPROXY_STOPPING' })
    expect(supervisor.running()).toBe(false)
  })

  test('a start onto a broken configuration fails with what HAProxy said', async () => {
    const bench = await createBench(tempDir())
    bench.write('v1', '    nonsense here\n')
    const supervisor = supervise(bench)
    await expect(supervisor.start(signal)).rejects.toMatchObject({
      code: 'HAPROXY_START_FAILED',
      message: expect.stringContaining("unknown keyword 'nonsense'"),
    })
    expect(supervisor.running()).toBe(false)
  })

  test('a program that is missing is named', async () => {
    const bench = await createBench(tempDir())
    const supervisor = supervise(bench, { bin: '/nowhere/haproxy' })
    await expect(supervisor.start(signal)).rejects.toMatchObject({ code: 'HAPROXY_MISSING' })
  })

  test('refuses to share a port with somebody else', async () => {
    const bench = await createBench(tempDir())
    keep(await takePort(bench.port))
    const supervisor = supervise(bench, { ports: () => [{ port: bench.port }] })
    await expect(supervisor.start(signal)).rejects.toMatchObject({
      code: 'HAPROXY_PORT_TAKEN',
      message: expect.stringContaining(String(bench.port)),
    })
  })

  test('changed arguments make a reload a restart, and no client notices', async () => {
    const bench = await createBench(tempDir())
    const more = join(bench.dir, 'more.cfg')
    writeFileSync(more, 'backend more\n')
    let args = bench.args()
    const supervisor = supervise(bench, { args: () => args })
    await supervisor.start(signal)
    const first = Number(supervisor.pid())
    const clients = keepAliveClients(bench.url, 2)
    args = [...args, '-f', more]
    expect(await supervisor.reload(signal)).toMatchObject({ ok: true })
    expect(supervisor.pid()).not.toBe(first)
    await until('the old one is gone', () => !alive(first))
    expect((await clients.stop()).failures).toEqual([])
    expect(await createMasterSocket(bench.masterSocket, { timeoutMs: 5000 }).processes(signal)).toMatchObject({
      master: { pid: supervisor.pid() },
    })
  })

  test('an aborted start leaves no process behind', async () => {
    const bench = await createBench(tempDir())
    const supervisor = supervise(bench)
    const aborted = new AbortController()
    const start = supervisor.start(aborted.signal)
    aborted.abort(new Error('enough'))
    await expect(start).rejects.toThrow('enough')
    await until('nobody answers', () =>
      ask(bench.url).then(
        () => false,
        () => true,
      ),
    )
    expect(supervisor.running()).toBe(false)
    expect(existsSync(bench.config)).toBe(true)
  })
})
