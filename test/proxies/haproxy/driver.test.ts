import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { silentLogger } from '../../../src/lib/logger.js'
import type { Checker, CheckVerdict } from '../../../src/proxies/haproxy/checker.js'
import { createDriver, type Loader } from '../../../src/proxies/haproxy/driver.js'
import type { Moved, MovePreview, Mover } from '../../../src/proxies/haproxy/runtime/mover.js'
import { createFakeClock } from '../../support/clock.js'
import { tempDir } from '../../support/temp.js'
import { until } from '../../support/wait.js'

const signal = new AbortController().signal
const NOTHING_DONE: Moved = { steps: { count: 0, first: [] } }

/** A driver on one file, with a HAProxy that does what the test says. */
function setUp({ runtime = true, spacingMs = 0 } = {}) {
  const path = join(tempDir(), 'haproxy.cfg')
  const write = (text: string) => writeFileSync(path, text)
  write('one')
  const clock = createFakeClock()
  const told: string[] = []
  const haproxy = {
    up: true,
    moved: async (): Promise<Moved> => NOTHING_DONE,
    foreseen: { steps: [] } as MovePreview,
    refill: false,
    verdict: { ok: true, warnings: [] } as CheckVerdict,
    load: async () => ({ ok: true, ms: 1 }),
  }
  const mover: Mover = {
    loaded: () => undefined,
    plan: async () => ({ steps: [] }),
    preview: async ({ image }) => {
      told.push(`asked about ${image.get(path)}`)
      return haproxy.foreseen
    },
    move: () => haproxy.moved(),
    sparesOf: () => new Map(),
    wantsRefill: () => haproxy.refill,
    describe: () => ({}),
  }
  const loader: Loader = {
    prepare: async () => undefined,
    isUp: () => haproxy.up,
    load: async () => ({ ...(await haproxy.load()), how: 'reload' }),
    stop: async () => undefined,
    describe: () => ({}),
  }
  const checker: Checker = { check: async () => haproxy.verdict }
  const files = () => ({ configs: [path], others: [], certificates: [] })
  const driver = createDriver({
    files,
    checker,
    loader,
    mover: runtime ? mover : undefined,
    spacingMs,
    scratch: tempDir(),
    clock,
    log: silentLogger(),
  })
  const apply = (newer = signal) => driver.apply(signal, newer)
  const preview = (text = 'one') => driver.preview(files(), new Map([[path, text]]), signal)
  return { haproxy, clock, told, write, apply, preview, driver }
}

describe('what the driver says will come', () => {
  test('is what moves HAProxy to the texts it is given, which need not lie on disk', async () => {
    const { haproxy, told, preview } = setUp()
    expect(await preview('two')).toEqual({ how: 'nothing' })
    expect(told).toEqual(['asked about two'])
    const steps = [{ action: 'add', text: 'add server a/a' }] as const
    haproxy.foreseen = { steps }
    expect(await preview('two')).toEqual({ how: 'runtime', steps })
    haproxy.foreseen = { reload: 'the frontend has changed' }
    expect(await preview('two')).toEqual({ how: 'reload', why: 'the frontend has changed' })
  })

  test('is a start while HAProxy does not run, and a reload when its spares are wanted back', async () => {
    const { haproxy, preview } = setUp()
    haproxy.refill = true
    expect(await preview()).toEqual({ how: 'reload', why: expect.stringContaining('spare backends') })
    haproxy.up = false
    expect(await preview()).toEqual({ how: 'start' })
  })

  test.each([
    ['nobody can ask HAProxy', true, 'no socket'],
    ['changes at run time are off', false, 'switched off'],
  ])('goes by the files where %s', async (_, runtime, why) => {
    const { haproxy, apply, preview } = setUp({ runtime })
    haproxy.moved = async () => ({ unavailable: 'no socket' })
    haproxy.foreseen = { unavailable: 'no socket' }
    expect(await preview()).toEqual({ how: 'reload', why: expect.stringContaining(why) })
    await apply()
    expect(await preview()).toEqual({ how: 'nothing' })
    expect(await preview('two')).toEqual({ how: 'reload', why: expect.stringContaining(why) })
  })

  test('comes after the apply that is under way', async () => {
    const { haproxy, told, apply, preview } = setUp()
    let release: (moved: Moved) => void = () => undefined
    haproxy.moved = () => {
      told.push('moving')
      return new Promise((resolve) => {
        release = resolve
      })
    }
    const applied = apply()
    const seen = preview()
    await until('HAProxy is moved', () => told.length > 0)
    await new Promise((resolve) => setImmediate(resolve))
    expect(told).toEqual(['moving'])
    release(NOTHING_DONE)
    await Promise.all([applied, seen])
    expect(told).toEqual(['moving', 'asked about one'])
  })

  test('does not wait with a reload for its turn, and tells how long that takes', async () => {
    const { haproxy, clock, write, apply, preview } = setUp({ spacingMs: 60_000 })
    haproxy.moved = async () => ({ reload: 'the frontend has changed' })
    haproxy.foreseen = { reload: 'the frontend has changed' }
    expect(await apply()).toMatchObject({ how: 'reload' })
    write('two')
    const second = apply()
    await until('the reload waits', () => clock.sleepers() > 0)
    await clock.pass(20_000)
    expect(await preview('two')).toEqual({ how: 'reload', why: 'the frontend has changed', waitMs: 40_000 })
    // While it waited somebody made it needless.
    haproxy.moved = async () => NOTHING_DONE
    await clock.pass(40_000)
    expect(await second).toMatchObject({ how: 'nothing' })
  })

  test('a reload that waits for its turn gives way to what is newer', async () => {
    const { haproxy, clock, write, apply } = setUp({ spacingMs: 60_000 })
    haproxy.moved = async () => ({ reload: 'the frontend has changed' })
    await apply()
    write('two')
    const newer = new AbortController()
    const second = apply(newer.signal)
    await until('the reload waits', () => clock.sleepers() > 0)
    newer.abort()
    expect(await second).toEqual({ how: 'later', ms: 0 })
  })

  test('is that nothing can be done with files that HAProxy was moved to and would not load', async () => {
    const { haproxy, clock, write, apply, preview } = setUp()
    await apply()
    write('two')
    haproxy.moved = async () => ({ steps: { count: 1, first: ['add server a/a'] } })
    haproxy.verdict = { ok: false, message: 'line 3 is wrong', culprits: ['a'], output: '' }
    expect(await apply()).toMatchObject({ how: 'runtime', steps: { count: 1 } })
    await until('the check waits for a calm moment', () => clock.sleepers() > 0)
    await clock.pass(2000)
    await until('the check is over', async () => (await preview('two')).how === 'blocked')
    expect(await preview('two')).toEqual({ how: 'blocked', why: expect.stringContaining('line 3 is wrong') })
    expect(await preview('three')).toEqual({ how: 'nothing' })
  })
})
