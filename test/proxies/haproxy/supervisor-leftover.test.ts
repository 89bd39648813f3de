import { expect, test } from '@jest/globals'
import { createMasterSocket } from '../../../src/proxies/haproxy/master-socket.js'
import { alive, ask, createBench } from '../../support/haproxy.js'
import { describeHaproxys } from '../../support/haproxy-bins.js'
import { supervision } from '../../support/supervision.js'
import { tempDir } from '../../support/temp.js'
import { until } from '../../support/wait.js'

const signal = new AbortController().signal

describeHaproxys([], 'a HAProxy that outlived its Hostler', ({ bin }) => {
  const { supervise, leaveBehind } = supervision(bin)

  test('adopts the HAProxy of a run that was killed, and gives it the new files', async () => {
    const bench = await createBench(tempDir())
    const left = await leaveBehind(bench)
    bench.write('v2')
    const supervisor = supervise(bench, { ports: () => [{ port: bench.port }] })
    expect(await supervisor.start(signal)).toMatchObject({ how: 'adopted', reload: { ok: true } })
    expect(supervisor.pid()).toBe(left)
    expect(await ask(bench.url)).toBe('v2')
    process.kill(left, 'SIGKILL')
    await until('an own one runs', () => supervisor.running() && supervisor.pid() !== left)
    await until('it answers', () => ask(bench.url))
  })

  test('adopts one whose configuration has unset a variable that is empty, as ours does', async () => {
    const bench = await createBench(tempDir())
    const env = { NOTHING: '' }
    bench.write('v1', 'global\n    unsetenv NOTHING\n')
    const left = await leaveBehind(bench, [], env)
    const master = createMasterSocket(bench.masterSocket, { timeoutMs: 5000 })
    await until('its master is ready', () => master.processes(signal))
    await master.reload(signal)
    const supervisor = supervise(bench, { env: () => env })
    expect(await supervisor.start(signal)).toMatchObject({ how: 'adopted' })
    expect(supervisor.pid()).toBe(left)
  })

  test('stops an adopted HAProxy like its own', async () => {
    const bench = await createBench(tempDir())
    const left = await leaveBehind(bench)
    const supervisor = supervise(bench)
    await supervisor.start(signal)
    await supervisor.stop()
    expect(alive(left)).toBe(false)
  })

  test('replaces a leftover that runs with other arguments', async () => {
    const bench = await createBench(tempDir())
    const left = await leaveBehind(bench, ['-n', '50'])
    bench.write('v2')
    const supervisor = supervise(bench)
    expect(await supervisor.start(signal)).toMatchObject({ how: 'replaced', reload: { ok: true } })
    await until('the old one is gone', () => !alive(left))
    expect(await ask(bench.url)).toBe('v2')
  })
})
