import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createIdleClock, FORGET_MS, type IdleClock } from '../../src/lifecycle/idle-clock.js'
import { parseClockFile } from '../../src/lifecycle/idle-clock-file.js'
import { createFakeClock, type FakeClock } from '../support/clock.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

const MINUTE = 60_000

/** A fake clock whose wall time can be set apart from its monotonic one. */
function createWallClock(offsetMs = 0): FakeClock & { offsetMs: number } {
  const clock = createFakeClock()
  const walled = { ...clock, offsetMs, now: () => clock.now() + walled.offsetMs }
  return walled
}

async function setUp(dir = tempDir(), clock = createWallClock()) {
  const lines: { level: number; msg: string }[] = []
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const idle = createIdleClock({ dir, clock, log })
  await idle.load()
  const path = join(dir, 'idle-clock.json')
  const saved = () =>
    existsSync(path) ? Object.fromEntries(parseClockFile(readFileSync(path, 'utf8')).groups) : undefined
  return { dir, clock, idle, path, saved, lines }
}

const running = (...names: string[]) => new Set(names)
const idleOf = (idle: IdleClock, ...names: string[]) => names.map((name) => idle.idleMs(name))

describe('the idle clock', () => {
  test('begins at the first sight, whoever started the group', async () => {
    const { clock, idle } = await setUp()
    idle.sight(running('a'))
    await clock.pass(5 * MINUTE)
    idle.sight(running('a', 'b'))
    await clock.pass(MINUTE)
    expect(idleOf(idle, 'a', 'b', 'c')).toEqual([6 * MINUTE, MINUTE, undefined])
  })

  test('moves forward on evidence only, also on evidence that comes late', async () => {
    const { clock, idle } = await setUp()
    idle.sight(running('a'))
    await clock.pass(10 * MINUTE)
    idle.touch('a', 4 * MINUTE)
    expect(idleOf(idle, 'a')).toEqual([4 * MINUTE])
    idle.touch('a', 9 * MINUTE)
    expect(idleOf(idle, 'a')).toEqual([4 * MINUTE])
    idle.touch('a', -5000)
    expect(idleOf(idle, 'a')).toEqual([0])
  })

  test('begins anew when a group that had stopped runs again', async () => {
    const { clock, idle } = await setUp()
    idle.sight(running('a'))
    await clock.pass(10 * MINUTE)
    idle.sight(running())
    expect(idleOf(idle, 'a')).toEqual([undefined])
    await clock.pass(10 * MINUTE)
    idle.sight(running('a'))
    expect(idleOf(idle, 'a')).toEqual([0])
  })

  test('a request for a group that then is not started leaves nothing behind', async () => {
    const { clock, idle } = await setUp()
    idle.touch('a')
    expect(idleOf(idle, 'a')).toEqual([0])
    await clock.pass(10 * MINUTE)
    idle.sight(running())
    expect(idleOf(idle, 'a')).toEqual([undefined])
  })

  test.each([-3, 3, -30_000, 30_000])('is not moved by the wall clock when that jumps by %s days', async (days) => {
    const { clock, idle } = await setUp()
    idle.sight(running('a'))
    await clock.pass(MINUTE)
    clock.offsetMs = days * 24 * 60 * MINUTE
    await clock.pass(MINUTE)
    expect(idleOf(idle, 'a')).toEqual([2 * MINUTE])
  })

  test('goes on after a restart, the time in between included', async () => {
    const first = await setUp()
    first.idle.sight(running('a', 'b'))
    await first.clock.pass(10 * MINUTE)
    first.idle.touch('b')
    await first.idle.stop()
    await first.clock.pass(3 * MINUTE)
    const second = await setUp(first.dir, first.clock)
    second.idle.sight(running('a', 'b', 'new'))
    expect(idleOf(second.idle, 'a', 'b', 'new')).toEqual([13 * MINUTE, 3 * MINUTE, 0])
  })

  test('takes a wall clock that was put back in between for no time at all', async () => {
    const first = await setUp()
    first.idle.sight(running('a'))
    await first.clock.pass(10 * MINUTE)
    first.idle.touch('a', MINUTE)
    await first.idle.stop()
    const second = await setUp(first.dir, createWallClock(-1000 * MINUTE))
    second.idle.sight(running('a'))
    expect(idleOf(second.idle, 'a')).toEqual([MINUTE])
  })

  test('remembers a group whose source is down after the start, and forgets it in the end', async () => {
    const first = await setUp()
    first.idle.sight(running('a', 'b'))
    await first.idle.stop()
    const { clock, idle } = await setUp(first.dir, first.clock)
    idle.sight(running())
    await clock.pass(10 * MINUTE)
    idle.sight(running('a'))
    expect(idleOf(idle, 'a', 'b')).toEqual([10 * MINUTE, 10 * MINUTE])
    await clock.pass(FORGET_MS)
    idle.sight(running('a'))
    expect(idleOf(idle, 'b')).toEqual([undefined])
  })

  test('keeps what proxies had counted', async () => {
    const first = await setUp()
    first.idle.keepCounts('traefik', { counting: '17.5', totals: new Map([['__proto__', 3]]) })
    first.idle.touch('__proto__')
    await first.idle.stop()
    const { idle } = await setUp(first.dir, first.clock)
    expect(idle.countsOf('traefik')).toEqual({ counting: '17.5', totals: new Map([['__proto__', 3]]) })
    expect(idleOf(idle, '__proto__')).toEqual([0])
  })
})

describe('the file of the idle clock', () => {
  test('is written at once at first, then at most once a second, with whatever has changed', async () => {
    const { clock, idle, saved } = await setUp()
    idle.sight(running('a'))
    await until('it is written', saved)
    await clock.pass(100)
    for (let round = 0; round < 50; round++) idle.touch(`b${round}`)
    await clock.pass(100)
    expect(Object.keys(saved() ?? {})).toEqual(['a'])
    await clock.pass(800)
    await until('the rest is written', () => Object.keys(saved() ?? {}).length === 51)
    expect(saved()).toMatchObject({ a: 1000, b49: 900 })
    expect(clock.sleepers()).toBe(0)
  })

  test('is not written when nothing has changed', async () => {
    const { clock, idle, path, saved } = await setUp()
    idle.sight(running('a'))
    await until('it is written', saved)
    await clock.pass(5000)
    rmSync(path)
    idle.sight(running('a'))
    idle.touch('a', MINUTE)
    await clock.pass(5000)
    await idle.stop()
    expect(existsSync(path)).toBe(false)
  })

  test.each([
    ['half of one', (text: string) => text.slice(0, text.length / 2)],
    ['an empty one', () => ''],
    ['zeros', (text: string) => '\0'.repeat(text.length)],
    ['another version', (text: string) => text.replace('"format":1', '"format":2')],
    ['an age below zero', (text: string) => text.replace(/\["a",\d+\]/, '["a",-5]')],
    ['an age that is none', (text: string) => text.replace(/\["a",\d+\]/, '["a","5"]')],
    ['something else', () => '[1,2]'],
  ])('that is %s is told, and everybody counts as used just now', async (_, spoil) => {
    const first = await setUp()
    first.idle.sight(running('a'))
    await first.clock.pass(10 * MINUTE)
    first.idle.touch('b')
    await first.idle.stop()
    writeFileSync(first.path, spoil(readFileSync(first.path, 'utf8')))
    const { idle, lines, saved } = await setUp(first.dir, first.clock)
    expect(lines).toEqual([expect.objectContaining({ level: 50, msg: expect.stringContaining('cannot be read') })])
    idle.sight(running('a'))
    expect(idleOf(idle, 'a')).toEqual([0])
    await idle.stop()
    expect(saved()).toEqual({ a: 0 })
  })

  test('that cannot be written is told once, and tried again', async () => {
    const dir = join(tempDir(), 'state')
    writeFileSync(dir, 'no folder')
    const { clock, idle, lines, saved } = await setUp(dir)
    lines.length = 0
    idle.sight(running('a'))
    await until('it is told', () => lines.length)
    for (let round = 0; round < 5; round++) await clock.pass(1000)
    expect(lines).toHaveLength(1)
    rmSync(dir)
    await until('it is written', async () => {
      await clock.pass(1000)
      return saved()
    })
    await idle.stop()
  })
})
