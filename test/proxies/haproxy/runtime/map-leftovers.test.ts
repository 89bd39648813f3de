import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { silentLogger } from '../../../../src/lib/logger.js'
import { createMapLeftovers } from '../../../../src/proxies/haproxy/runtime/map-leftovers.js'
import { readRunning } from '../../../../src/proxies/haproxy/runtime/state.js'
import { parseMapVersions } from '../../../../src/proxies/haproxy/runtime/state-dumps.js'
import { createFakeClock } from '../../../support/clock.js'
import { type ExecutorRig, startExecutorRig } from '../../../support/executor-rig.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'

const signal = new AbortController().signal
const MAP = 'hosts.map'

describeHaproxys([], 'a version of a map that nobody commits', (program) => {
  let rig: ExecutorRig
  beforeAll(async () => {
    rig = await startExecutorRig(program.bin)
  })
  afterAll(() => rig?.stop())

  const versions = async () => parseMapVersions(await rig.haproxy.socket.ask('show map', signal)).get(MAP)
  const begin = async (entries: number) => {
    const version = /created: (\d+)/.exec(await rig.haproxy.ask(`prepare map ${MAP}`))?.[1]
    for (let i = 0; i < entries; i++) await rig.haproxy.ask(`add map @${version} ${MAP} left-${i}.example pair`)
    return version
  }
  const sweeper = () => {
    const clock = createFakeClock()
    const leftovers = createMapLeftovers({
      socket: rig.haproxy.socket,
      replace: (map, entries) => rig.run({ kind: 'replace-map', map, entries }),
      clock,
      log: silentLogger(),
    })
    return async (seconds: number) => {
      await clock.pass(seconds * 1000)
      await leftovers.sweep(await readRunning(rig.haproxy.socket, { maps: [MAP] }, signal), signal)
    }
  }

  test('is taken away once it has been left alone for a minute, and the map in use stays', async () => {
    const later = sweeper()
    const before = await versions()
    await begin(3)
    await begin(2)
    expect((await versions())?.entries).toBe((before?.entries ?? 0) + 5)
    await later(0)
    await later(59)
    expect((await versions())?.entries).toBe((before?.entries ?? 0) + 5)
    await later(60)
    expect((await versions())?.entries).toBe(before?.entries)
    expect((await rig.get('pair.example')).status).toBe(200)
    await rig.run({ kind: 'replace-map', map: MAP, entries: new Map([['pair.example', 'pair']]) })
    expect((await rig.get('pair.example')).status).toBe(200)
  })

  test('is let be while somebody fills it, and what he commits is in force', async () => {
    const later = sweeper()
    const version = await begin(1)
    for (let minute = 0; minute < 3; minute++) {
      await later(60)
      await rig.haproxy.ask(`add map @${version} ${MAP} more-${minute}.example pair`)
    }
    await later(60)
    await rig.haproxy.ask(`commit map @${version} ${MAP}`)
    await later(60)
    await later(60)
    expect((await rig.get('more-2.example')).status).toBe(200)
  })

  test('is not seen in keys that are twice in the map in use', async () => {
    const later = sweeper()
    await rig.run({ kind: 'replace-map', map: MAP, entries: new Map([['pair.example', 'pair']]) })
    await rig.haproxy.ask(`prepare map ${MAP}`)
    for (let i = 0; i < 2; i++) await rig.haproxy.ask(`add map ${MAP} twice.example pair`)
    for (let minute = 0; minute < 3; minute++) await later(60)
    expect((await rig.get('twice.example')).status).toBe(200)
  })

  test('is taken away by an executor whose own filling was aborted', async () => {
    const entries = new Map(Array.from({ length: 50_000 }, (_, i) => [`${i}.example`, 'pair']))
    const before = await versions()
    const stop = new AbortController()
    const running = rig.executor.run([{ kind: 'replace-map', map: MAP, entries }], stop.signal)
    const filling = (async () => {
      while (((await versions())?.entries ?? 0) <= (before?.entries ?? 0) + 500)
        await new Promise((resolve) => setImmediate(resolve))
      stop.abort(new Error('enough'))
    })()
    await expect(running).rejects.toThrow('enough')
    await filling
    // 3.4.0 does not clear it, and what was on its way may still be added: that is left to the sweeper.
    if (!program.atLeast(3, 4)) expect((await versions())?.entries).toBeLessThan((before?.entries ?? 0) + 1000)
    const later = sweeper()
    await later(60)
    await later(60)
    expect((await versions())?.entries).toBe(before?.entries)
    expect((await rig.get('pair.example')).status).toBe(200)
  })
})

test('a listing of maps that cannot be read is an error', () => {
  expect(() => parseMapVersions({ command: 'show map', text: 'Unknown command' })).toThrow('cannot read')
})
