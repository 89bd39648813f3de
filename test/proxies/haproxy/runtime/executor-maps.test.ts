import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { readRunning } from '../../../../src/proxies/haproxy/runtime/state.js'
import type { Step } from '../../../../src/proxies/haproxy/runtime/types.js'
import { type ExecutorRig, startExecutorRig } from '../../../support/executor-rig.js'
import { keepAliveClients } from '../../../support/haproxy.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'

const signal = new AbortController().signal
const ENTRIES = 100_000

describeHaproxys(['openssl'], 'maps', ({ bin }) => {
  let rig: ExecutorRig
  beforeAll(async () => {
    rig = await startExecutorRig(bin)
  })
  afterAll(() => rig?.stop())

  const running = async () =>
    (await readRunning(rig.haproxy.socket, { maps: ['hosts.map'] }, signal)).maps.get('hosts.map')

  test('many entries change in one run, and HAProxy has them all', async () => {
    const before = await running()
    const keys = Array.from({ length: 500 }, (_, i) => `host-${i}.example.com`)
    const adding = keys.map((key): Step => ({ kind: 'add-map-entry', map: 'hosts.map', key, value: 'app' }))
    expect(await rig.executor.run(adding, signal)).toMatchObject({ done: 500 })
    const setting = keys.map((key): Step => ({ kind: 'set-map-entry', map: 'hosts.map', key, value: 'pair' }))
    await rig.run(...setting)
    const now = await running()
    expect(keys.every((key) => now?.get(key) === 'pair')).toBe(true)
    await rig.run(...keys.map((key): Step => ({ kind: 'remove-map-entry', map: 'hosts.map', key })))
    expect(await running()).toEqual(before)
  })

  test('a map of 100,000 entries is swapped again and again without one failed look-up', async () => {
    const filler = Array.from({ length: ENTRIES }, (_, i) => [`stack-${i}.ci.example.com`, `backend-${i}`] as const)
    const clients = keepAliveClients(rig.haproxy.url, 4, { host: 'pair.example' })
    for (let round = 0; round < 3; round++) {
      const entries = new Map([...filler.slice(round), ['pair.example', 'pair'], ['round.example', `${round}`]])
      await rig.run({ kind: 'replace-map', map: 'hosts.map', entries })
      expect((await running())?.get('round.example')).toBe(`${round}`)
      expect((await running())?.size).toBe(entries.size)
    }
    const { failures, answered } = await clients.stop()
    expect(failures).toEqual([])
    expect(answered).toBeGreaterThan(0)
  })

  test('a swap that fails leaves the map and no version behind', async () => {
    const before = await running()
    const entries = new Map([
      ['pair.example', 'pair'],
      ['long.example', 'x'.repeat(20_000)],
    ])
    await expect(rig.run({ kind: 'replace-map', map: 'hosts.map', entries })).rejects.toMatchObject({
      cause: expect.objectContaining({ code: 'HAPROXY_COMMAND_TOO_LONG' }),
    })
    expect(await running()).toEqual(before)
    await expect(rig.run({ kind: 'replace-map', map: 'nowhere.map', entries: new Map() })).rejects.toMatchObject({
      cause: expect.objectContaining({ code: 'HAPROXY_REFUSED' }),
    })
  })

  test('a map can be emptied', async () => {
    await rig.run({ kind: 'replace-map', map: 'hosts.map', entries: new Map() })
    expect((await running())?.size).toBe(0)
    expect((await rig.get('pair.example')).status).toBe(503)
  })
})
