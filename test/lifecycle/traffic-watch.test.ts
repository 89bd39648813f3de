import { describe, expect, test } from '@jest/globals'
import { createProfiler } from '../../src/lifecycle/profile.js'
import { createTrafficWatch } from '../../src/lifecycle/traffic-watch.js'
import { createFakeClock } from '../support/clock.js'
import { member, pretendWorld } from '../support/reaper-world.js'

const { signal } = new AbortController()
const MINUTE = 60_000
const LIMIT = 30 * MINUTE

function setUp(labels: Record<string, string> = {}) {
  const world = pretendWorld()
  world.has(member('a', labels), member('a', { service: 'db', port: 'none' }))
  const clock = createFakeClock()
  const used: string[] = []
  const profiler = createProfiler()
  let questions = 0
  const runtime: typeof world.runtime = (source) => {
    const found = world.runtime(source)
    if (!found) return undefined
    return {
      ...found,
      traffic(id, until) {
        questions++
        return found.traffic(id, until)
      },
    }
  }
  const watch = createTrafficWatch({ runtime, used: (group) => void used.push(group), quietBytes: 1, clock })
  world.sent.set('a-web', 1000)
  return {
    ...{ world, clock, used, watch },
    questions: () => questions,
    sends: (bytes: number) => world.sent.set('a-web', (world.sent.get('a-web') ?? 0) + bytes),
    look: (idleMs = 0) => watch.look([{ profile: profiler(world.groups()).byName.get('a')!, idleMs }], signal),
    doubt: () => watch.doubt('a'),
  }
}

describe('what containers send', () => {
  test('is a doubt until it can be compared, and then none when it is nothing', async () => {
    const { clock, look, doubt, used } = setUp()
    expect(doubt()).toMatch(/begun/)
    await look(LIMIT)
    expect(doubt()).toMatch(/begun/)
    await clock.pass(10_000)
    await look(LIMIT)
    expect([doubt(), used]).toEqual([undefined, []])
  })

  test('is a use when it is more than a stray packet', async () => {
    const { clock, look, sends, used, doubt } = setUp()
    await look()
    await clock.pass(10_000)
    sends(64 + 10)
    await look(LIMIT)
    expect(used).toEqual([])
    sends(1)
    await look(LIMIT)
    expect([used, doubt()]).toEqual([['a'], undefined])
  })

  test('is a use when somebody only asks now and then whether a silent connection lives', async () => {
    const { clock, look, sends, used } = setUp()
    await look()
    for (let second = 30; second <= 225; second += 30) sends(66)
    await clock.pass(225_000)
    await look()
    expect(used).toEqual(['a'])
  })

  test('of a container without a route is its own affair', async () => {
    const { world, clock, look, used } = setUp()
    await look()
    world.sent.set('a-db', 1_000_000)
    await clock.pass(10_000)
    await look(LIMIT)
    expect(used).toEqual([])
  })

  test('in answer to health checks, and to a question of ours, is nobody’s use', async () => {
    const { clock, look, sends, used, watch } = setUp({ 'health-check': '/health', 'health-check-interval': '5s' })
    await look()
    await clock.pass(10_000)
    sends(2 * 2048)
    await look(LIMIT)
    expect(used).toEqual([])
    watch.asked('a')
    sends(2048)
    await look(LIMIT)
    expect(used).toEqual([])
    sends(2048)
    await look(LIMIT)
    expect(used).toEqual(['a'])
  })

  test('is asked for now and then at first, and with every look once it matters', async () => {
    const { clock, look, questions } = setUp()
    await look()
    for (let round = 0; round < 22; round++) {
      await clock.pass(10_000)
      await look()
    }
    expect(questions()).toBe(1)
    await clock.pass(10_000)
    await look()
    expect(questions()).toBe(2)
    await look(LIMIT)
    await look(LIMIT)
    expect(questions()).toBe(4)
  })

  test('adds up over looks that lie close together', async () => {
    const { clock, look, sends, used } = setUp()
    await look(LIMIT)
    for (let round = 0; round < 5; round++) {
      await clock.pass(10_000)
      sends(30)
      await look(LIMIT)
    }
    // 30 bytes in 10 s are a stray packet; five times as many in 50 s are not.
    expect(used).toEqual(['a'])
  })

  test('counts from nothing again in a container that was started anew', async () => {
    const { world, clock, look, doubt, used } = setUp()
    await look()
    await clock.pass(10_000)
    world.sent.set('a-web', 10)
    await look(LIMIT)
    expect([used, doubt()]).toEqual([[], expect.stringMatching(/begun/)])
    await look(LIMIT)
    expect(doubt()).toBeUndefined()
  })

  test('stays a doubt where it cannot be told, or nobody answers', async () => {
    const { world, clock, look, doubt, watch } = setUp()
    world.sent.delete('a-web')
    for (let round = 0; round < 3; round++) {
      await clock.pass(10_000)
      await look(LIMIT)
      expect(doubt()).toContain('a-web has no counters')
    }
    await watch.look([], signal)
    expect(doubt()).toMatch(/begun/)
  })
})
