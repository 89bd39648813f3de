import { describe, expect, test } from '@jest/globals'
import { silentLogger } from '../../src/lib/logger.js'
import { createEvidence } from '../../src/lifecycle/evidence.js'
import { createIdleClock } from '../../src/lifecycle/idle-clock.js'
import { createFakeClock } from '../support/clock.js'
import { member, pretendProxy, pretendWorld } from '../support/reaper-world.js'
import { tempDir } from '../support/temp.js'

const { signal } = new AbortController()
const MINUTE = 60_000

async function setUp({ proxies = [pretendProxy()], dir = tempDir(), clock = createFakeClock() } = {}) {
  const world = pretendWorld()
  world.has(member('a'), member('b'), member('b', { service: 'api', host: 'api.b.example.com' }))
  const idle = createIdleClock({ dir, clock, log: silentLogger() })
  await idle.load()
  idle.sight(new Set(['a', 'b']))
  const [proxy] = proxies
  if (!proxy) throw new Error('a proxy is needed')
  for (const one of proxies) for (const name of ['a', 'b', 'b-api']) one.count(name, 0)
  const evidence = createEvidence({ proxies, idle })
  const look = () => evidence.look(world.plan(), signal)
  /** Looks and tells whose clock was set to now or to a moment; undefined: as before. */
  const uses = async () => {
    const before = [idle.idleMs('a'), idle.idleMs('b')]
    await look()
    return [idle.idleMs('a'), idle.idleMs('b')].map((ms, index) => (ms === before[index] ? undefined : ms))
  }
  return { world, clock, idle, proxy, look, uses, dir }
}

describe('what proxies tell', () => {
  test('is a use when a count has moved, of any backend of the group', async () => {
    const { clock, proxy, look, uses } = await setUp()
    await look()
    await clock.pass(10 * MINUTE)
    expect(await uses()).toEqual([undefined, undefined])
    proxy.count('b-api', 1)
    expect(await uses()).toEqual([undefined, 0])
    await clock.pass(MINUTE)
    expect(await uses()).toEqual([undefined, undefined])
  })

  test('is a use at the moment that the proxy names, where it does', async () => {
    const { clock, proxy, look, uses } = await setUp()
    await look()
    await clock.pass(10 * MINUTE)
    proxy.count('a', 3, { current: 0, quietMs: 4 * MINUTE })
    expect(await uses()).toEqual([4 * MINUTE, undefined])
  })

  test('is a use for as long as something is open', async () => {
    const { clock, proxy, look, uses } = await setUp()
    proxy.count('a', 1, { current: 2, quietMs: 50 * MINUTE })
    for (let round = 0; round < 3; round++) {
      await clock.pass(10 * MINUTE)
      expect(await uses()).toEqual([0, undefined])
    }
    expect((await look()).open).toEqual(new Map([['a', 2]]))
  })

  test('is at first a doubt, since nothing can be compared, but for what the proxy dates itself', async () => {
    const { clock, proxy, idle, look } = await setUp()
    await clock.pass(60 * MINUTE)
    proxy.count('a', 500)
    proxy.count('b', 500, { current: 0, quietMs: 7 * MINUTE })
    const first = await look()
    expect([...first.doubts.keys()]).toEqual(['a', 'b'])
    expect([idle.idleMs('a'), idle.idleMs('b')]).toEqual([60 * MINUTE, 7 * MINUTE])
    expect((await look()).doubts.size).toBe(0)
  })

  test('that begins anew is a doubt, and a use if anything has come since', async () => {
    const { clock, proxy, look, uses } = await setUp()
    proxy.count('a', 50)
    proxy.count('b', 50)
    await look()
    await clock.pass(60 * MINUTE)
    proxy.counting = 'two'
    proxy.count('a', 0)
    proxy.count('b', 1)
    expect(await uses()).toEqual([undefined, 0])
    proxy.counting = 'three'
    expect([...(await look()).doubts.keys()]).toEqual(['a', 'b'])
    expect((await look()).doubts.size).toBe(0)
  })

  test('that goes down is another count, whatever it calls itself', async () => {
    const { clock, proxy, look, uses } = await setUp()
    proxy.count('a', 50)
    await look()
    await clock.pass(60 * MINUTE)
    proxy.count('a', 49)
    expect(await uses()).toEqual([0, undefined])
    proxy.count('a', 0)
    expect([...(await look()).doubts.keys()]).toEqual(['a'])
  })

  test('leaves a doubt about every group while it does not answer, and one look longer', async () => {
    const { clock, proxy, look, uses } = await setUp()
    await look()
    await look()
    proxy.failure = new Error('no answer')
    const blind = await look()
    expect(blind.failures).toEqual(new Map([['haproxy', 'no answer']]))
    expect(blind.doubts).toEqual(
      new Map([
        ['a', 'no answer'],
        ['b', 'no answer'],
      ]),
    )
    await clock.pass(60 * MINUTE)
    proxy.failure = undefined
    proxy.count('a', 1)
    // What came meanwhile shows in the count.
    expect(await uses()).toEqual([0, undefined])
    expect((await look()).doubts.size).toBe(0)
    proxy.failure = new Error('again')
    await look()
    proxy.failure = undefined
    expect([...(await look()).doubts.keys()]).toEqual(['a', 'b'])
  })

  test('leaves a doubt about a group of which it does not have every backend', async () => {
    const { proxy, look } = await setUp()
    await look()
    proxy.told.delete('b-api')
    const { doubts } = await look()
    expect([...doubts]).toEqual([['b', expect.stringContaining('b-api')]])
  })

  test('is taken from all of them: one that knows of a use is enough, and so is one that cannot tell', async () => {
    const [one, two] = [pretendProxy('haproxy'), pretendProxy('traefik')]
    const { clock, look, uses } = await setUp({ proxies: [one, two] })
    await look()
    await clock.pass(10 * MINUTE)
    two.count('a', 1, {})
    expect(await uses()).toEqual([0, undefined])
    one.failure = new Error('no answer')
    const found = await look()
    expect([...found.doubts.keys()]).toEqual(['a', 'b'])
    expect([...found.untold]).toEqual(['a'])
  })

  test('cannot be had from one that tells nothing, ever', async () => {
    const mute = { ...pretendProxy('mute'), activity: undefined }
    const world = pretendWorld()
    world.has(member('a'))
    const idle = createIdleClock({ dir: tempDir(), clock: createFakeClock(), log: silentLogger() })
    const evidence = createEvidence({ proxies: [mute as never], idle })
    for (let round = 0; round < 3; round++)
      expect([...(await evidence.look(world.plan(), signal)).doubts.keys()]).toEqual(['a'])
  })

  test('without any proxy it is for others to tell what is open', async () => {
    const world = pretendWorld()
    world.has(member('a'))
    const idle = createIdleClock({ dir: tempDir(), clock: createFakeClock(), log: silentLogger() })
    const found = await createEvidence({ proxies: [], idle }).look(world.plan(), signal)
    expect([found.doubts.size, [...found.untold]]).toEqual([0, ['a']])
  })
})

describe('after a restart of Hostler', () => {
  test('a count that goes on tells of a use in between', async () => {
    const first = await setUp()
    first.proxy.count('a', 7, {})
    first.proxy.count('b', 7, {})
    first.proxy.count('b-api', 7, {})
    await first.look()
    await first.idle.stop()
    await first.clock.pass(60 * MINUTE)
    const { proxy, uses } = await setUp({ dir: first.dir, clock: first.clock })
    for (const name of ['a', 'b', 'b-api']) proxy.count(name, name === 'b-api' ? 8 : 7, {})
    expect(await uses()).toEqual([undefined, 0])
  })

  test('another count tells of none', async () => {
    const first = await setUp()
    first.proxy.count('a', 7, {})
    await first.look()
    await first.idle.stop()
    await first.clock.pass(60 * MINUTE)
    const { proxy, uses } = await setUp({ dir: first.dir, clock: first.clock })
    proxy.counting = 'two'
    proxy.count('a', 9, {})
    expect(await uses()).toEqual([undefined, undefined])
  })
})
