import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { systemClock } from '../../../src/lib/clock.js'
import { silentLogger } from '../../../src/lib/logger.js'
import { createMasterSocket } from '../../../src/proxies/haproxy/master-socket.js'
import { createSocketReloader } from '../../../src/proxies/haproxy/reloaders.js'
import { createCommandReloader } from '../../../src/proxies/haproxy/reloaders-command.js'
import { createContainerReloader } from '../../../src/proxies/haproxy/reloaders-docker.js'
import { demultiplex } from '../../../src/proxies/haproxy/reloaders-docker-logs.js'
import { createSupervisor } from '../../../src/proxies/haproxy/supervisor.js'
import { startDockerd, type TestContainer, type TestDockerd } from '../../support/dockerd.js'
import { alive, ask, type Bench, createBench } from '../../support/haproxy.js'
import { describeWith } from '../../support/servers.js'
import { tempDir } from '../../support/temp.js'
import { until } from '../../support/wait.js'

const signal = new AbortController().signal
const clock = systemClock
const cleanUps: (() => unknown)[] = []

afterEach(async () => {
  for (const step of cleanUps.splice(0).reverse()) await step()
})

describe('by a command', () => {
  const reloader = (command: string, timeoutMs = 5000) =>
    createCommandReloader({ command, timeoutMs, env: { NAME: 'web' }, clock })

  test('exit code 0 is success, with what it said', async () => {
    expect(await reloader('echo "reloaded $NAME"').reload(signal)).toMatchObject({ ok: true, log: 'reloaded web' })
  })

  test('another exit code is failure, with what it said on both streams', async () => {
    const result = await reloader('echo no; echo way >&2; exit 3').reload(signal)
    expect(result).toMatchObject({ ok: false, log: expect.stringMatching(/no[\s\S]*way[\s\S]*exit code 3/) })
  })

  test('a command that hangs is ended with everything it started', async () => {
    const file = join(tempDir(), 'pid')
    const run = reloader(`sh -c 'echo $$ > ${file}; sleep 60'; true`, 300).reload(signal)
    await expect(run).rejects.toMatchObject({ code: 'HAPROXY_RELOAD_COMMAND' })
    await until('it is gone', () => !alive(Number(readFileSync(file, 'utf8'))))
  })

  test('an abort ends it', async () => {
    const controller = new AbortController()
    const file = join(tempDir(), 'started')
    const run = reloader(`touch ${file}; sleep 60`).reload(controller.signal)
    run.catch(() => undefined)
    await until('it has started', () => existsSync(file))
    controller.abort(new Error('enough'))
    await expect(run).rejects.toThrow('enough')
  })

  test('of endless output the end is kept', async () => {
    const { ok, log = '' } = await reloader('yes | head -c 300000; echo end').reload(signal)
    expect(ok).toBe(true)
    expect(log.length).toBeLessThan(20_000)
    expect(log.endsWith('end')).toBe(true)
  })
})

describeWith(['haproxy'], "through somebody else's master socket", () => {
  test('two reloads at once take turns', async () => {
    const bench = await createBench(tempDir())
    const supervisor = createSupervisor({
      bin: 'haproxy',
      args: bench.args,
      env: () => ({}),
      masterSocket: bench.masterSocket,
      reloadTimeoutMs: 15_000,
      stopTimeoutMs: 5000,
      log: silentLogger(),
      stdout: 'log',
    })
    cleanUps.push(() => supervisor.stop())
    await supervisor.start(signal)
    const reloader = createSocketReloader(createMasterSocket(bench.masterSocket, { timeoutMs: 15_000 }))
    bench.write('v2')
    const results = await Promise.all([reloader.reload(signal), reloader.reload(signal)])
    expect(results).toMatchObject([{ ok: true }, { ok: true }])
    expect(await ask(bench.url)).toBe('v2')
    expect(reloader.describe()).toMatchObject({ reloads: 'socket', worker: results[1]?.workerPid })
  })
})

describeWith(['haproxy', 'dockerd', 'docker', 'busybox'], 'by a signal through Docker', () => {
  let dockerd: TestDockerd
  beforeAll(async () => {
    dockerd = await startDockerd()
  })
  afterAll(() => dockerd?.stop())

  /** HAProxy of this machine, in a container that shares the machine's network. */
  async function runHaproxy(bench: Bench, flags = '-W -db'): Promise<TestContainer> {
    // The socket's folder is made by one user and read by another where the daemon maps users.
    chmodSync(bench.dir, 0o777)
    const system = ['/usr:/usr:ro', '/lib:/lib:ro', '/lib64:/lib64:ro', '/etc/ssl:/etc/ssl:ro']
    const container = await dockerd.run({
      cmd: ['/usr/sbin/haproxy', ...flags.split(' '), '-f', bench.config],
      networks: ['host'],
      hostConfig: {
        Binds: [...system.filter((bind) => existsSync(bind.split(':')[0] ?? '')), `${bench.dir}:${bench.dir}`],
      },
    })
    cleanUps.push(() => container.container.remove({ force: true }))
    await until('it serves', () => ask(bench.url))
    return container
  }

  const reloader = (container: string, more: object = {}) =>
    createContainerReloader({ docker: dockerd.docker, container, signal: 'SIGUSR2', clock, ...more })

  test('a good configuration is loaded, a bad one reported with the reason', async () => {
    const bench = await createBench(tempDir())
    const { name } = await runHaproxy(bench)
    bench.write('v2')
    expect(await reloader(name).reload(signal)).toMatchObject({
      ok: true,
      log: expect.stringContaining('Loading success'),
    })
    expect(await ask(bench.url)).toBe('v2')
    bench.write('v3', '    nonsense here\n')
    expect(await reloader(name).reload(signal)).toMatchObject({ ok: false, log: expect.stringContaining('nonsense') })
    expect(await ask(bench.url)).toBe('v2')
    bench.write('v4')
    expect(await reloader(name).reload(signal)).toMatchObject({
      ok: true,
      log: expect.not.stringContaining('nonsense'),
    })
    expect(await ask(bench.url)).toBe('v4')
  })

  test('a HAProxy that cannot reload is reported', async () => {
    const bench = await createBench(tempDir())
    const { name } = await runHaproxy(bench, '-db')
    const result = await reloader(name, { settleMs: 200 }).reload(signal)
    expect(result).toMatchObject({ ok: false, log: expect.stringContaining('-W') })
  })

  test('a container that ends at the signal is reported', async () => {
    const { name } = await dockerd.run({ cmd: ['sh', '-c', "trap 'exit 3' USR2; while true; do sleep 0.1; done"] })
    expect(await reloader(name).reload(signal)).toMatchObject({
      ok: false,
      log: expect.stringContaining('exit code 3'),
    })
  })

  test('where nothing is logged a new process is the proof', async () => {
    const { name } = await dockerd.run({ cmd: ['sh', '-c', "trap 'sleep 50 &' USR2; while true; do sleep 0.1; done"] })
    const result = await reloader(name, { settleMs: 200 }).reload(signal)
    expect(result).toMatchObject({ ok: true, log: expect.stringContaining('new process') })
  })

  test('a container that is not there or does not run is named', async () => {
    await expect(reloader('nobody').reload(signal)).rejects.toMatchObject({
      code: 'HAPROXY_CONTAINER',
      message: expect.stringContaining('HAPROXY_CONTAINER'),
    })
    const { name } = await dockerd.run({ start: false })
    await expect(reloader(name).reload(signal)).rejects.toThrow('does not run')
  })
})

test('a log without frames is taken as it stands', () => {
  expect(demultiplex(Buffer.from('2026-01-01T00:00:00Z plain\n'))).toBe('2026-01-01T00:00:00Z plain\n')
  expect(demultiplex(Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 2]), Buffer.from('ab')]))).toBe('ab')
})
