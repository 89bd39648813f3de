import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { silentLogger } from '../../src/lib/logger.js'
import type { Plan } from '../../src/model/plan.js'
import { createPlanner } from '../../src/model/planner.js'
import { type Applied, type CheckResult, LoadRefused, type Preview, type Proxy } from '../../src/proxies/proxy.js'
import { createPublisher } from '../../src/publish/publisher.js'
import { createLane, type RoundOutcome } from '../../src/reconcile/lane.js'
import { createFakeClock } from '../support/clock.js'
import { instance, rules } from '../support/instances.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

const running: { end(): Promise<void> }[] = []
afterEach(async () => {
  for (const lane of running.splice(0)) await lane.end()
})

/** A proxy whose verdicts the test decides; it lists the plan's backends in one file. */
function setUp() {
  const root = tempDir()
  const path = join(root, 'backends')
  const proxy = {
    name: 'fake',
    root,
    checks: 0,
    applies: 0,
    newer: undefined as AbortSignal | undefined,
    verdict: (_: string): CheckResult => ({ ok: true }),
    outcome: async (): Promise<Applied> => ({ how: 'reload', ms: 1 }),
    render: (plan: Plan) => [{ path, content: `${plan.backends.map(({ name }) => name).join(' ')}\n` }],
    async check(staged: { files: readonly { stagedPath: string }[] }) {
      proxy.checks++
      return proxy.verdict(readFileSync(staged.files[0]?.stagedPath ?? '', 'utf8'))
    },
    async apply(_: AbortSignal, newer: AbortSignal) {
      proxy.applies++
      proxy.newer = newer
      return proxy.outcome()
    },
    foreseen: { how: 'nothing' } as Omit<Preview, 'files'>,
    preview: async (plan: Plan) => ({ files: proxy.render(plan), ...proxy.foreseen }),
    context: () => ({}),
    watched: () => [],
    describe: () => ({}),
  }
  const clock = createFakeClock()
  const publisher = createPublisher({ root, log: silentLogger() })
  const outcomes: RoundOutcome[] = []
  const lane = createLane({
    proxy: proxy as Proxy,
    publisher,
    log: silentLogger(),
    clock,
    done: (outcome) => outcomes.push(outcome),
  })
  const stopping = new AbortController()
  const planner = createPlanner(rules)
  let plan: Plan | undefined
  const run = lane.run(() => plan, stopping.signal)
  running.push({
    async end() {
      stopping.abort()
      await run
      await publisher.close()
    },
  })
  const known = new Map<string, ReturnType<typeof instance>>()
  const want = (...names: string[]) => {
    plan = planner(names.map((name) => known.get(name) ?? known.set(name, instance(name, { port: '80' })).get(name)!))
    lane.nudge(clock.elapsed())
  }
  const content = () => readFileSync(path, 'utf8').trim()
  const preview = () => lane.preview(plan, stopping.signal)
  const rounds = (count: number) => until(`${count} rounds have ended`, () => outcomes.length >= count)
  return { root, proxy, lane, clock, want, content, preview, outcomes, rounds }
}

describe('a proxy’s lane', () => {
  test('publishes what passed the check, then applies it', async () => {
    const { proxy, lane, want, content, rounds } = setUp()
    want('a', 'b')
    await rounds(1)
    expect(content()).toBe('a b')
    expect(proxy).toMatchObject({ checks: 1, applies: 1 })
    expect(lane.state()).toMatchObject({ settled: true, applies: { reload: 1 }, failures: 0 })
  })

  test('leaves out a backend that the proxy refuses, and takes it back when it has changed', async () => {
    const { proxy, lane, want, content, rounds } = setUp()
    proxy.verdict = (text) =>
      text.includes('bad') ? { ok: false, message: 'bad is bad', culprits: ['bad'] } : { ok: true }
    want('a', 'bad', 'c')
    await rounds(1)
    expect(content()).toBe('a c')
    expect(lane.state().refused).toEqual([{ backend: 'bad', reason: 'bad is bad' }])
    want('a', 'bad', 'c', 'd')
    await rounds(2)
    expect(content()).toBe('a c d')
    proxy.verdict = () => ({ ok: true })
    want('a')
    await rounds(3)
    want('a', 'bad')
    await rounds(4)
    expect(content()).toBe('a bad')
    expect(lane.state().refused).toEqual([])
  })

  test('a refusal that names nobody leaves the old files, and is tried again', async () => {
    const { proxy, lane, clock, want, content, rounds } = setUp()
    want('a')
    await rounds(1)
    proxy.verdict = () => ({ ok: false, message: 'the base is broken', culprits: [] })
    want('a', 'b')
    await rounds(2)
    expect(content()).toBe('a')
    expect(lane.state()).toMatchObject({ error: expect.stringContaining('the base is broken'), failures: 1 })
    proxy.verdict = () => ({ ok: true })
    await until('the lane waits before it tries again', () => clock.sleepers() > 0)
    await clock.pass(60_000)
    await rounds(3)
    expect(content()).toBe('a b')
    expect(lane.state().error).toBeUndefined()
  })

  test('takes the files back when the proxy does not load them, and tries again though nothing changed', async () => {
    const { proxy, lane, clock, want, content, rounds } = setUp()
    want('a')
    await rounds(1)
    proxy.outcome = async () => {
      throw new Error('port 80 is taken')
    }
    want('a', 'b')
    await rounds(2)
    expect(content()).toBe('a')
    expect(lane.state().error).toBe('port 80 is taken')
    proxy.outcome = async () => ({ how: 'reload', ms: 1 })
    await until('the lane waits before it tries again', () => clock.sleepers() > 0)
    await clock.pass(60_000)
    await rounds(3)
    expect(content()).toBe('a b')
  })

  test('a backend that turns out bad only when the proxy loads it is left out, and the rest is loaded', async () => {
    const { proxy, lane, want, content, rounds } = setUp()
    want('a')
    await rounds(1)
    proxy.outcome = async () => {
      if (content().includes('bad')) throw new LoadRefused('bad is bad', ['bad'])
      return { how: 'reload', ms: 1 }
    }
    want('a', 'bad', 'c')
    await rounds(2)
    expect(content()).toBe('a c')
    expect(lane.state()).toMatchObject({ refused: [{ backend: 'bad' }], failures: 0 })
  })

  test('changes that arrive during a round become exactly one next round', async () => {
    const { proxy, want, content, rounds } = setUp()
    let release: () => void = () => undefined
    proxy.outcome = () => new Promise((resolve) => (release = () => resolve({ how: 'reload', ms: 1 })))
    want('a')
    await until('the first round applies', () => proxy.applies === 1)
    for (const names of [['a', 'b'], ['b'], ['b', 'c'], ['c', 'd']]) want(...names)
    release()
    await until('the second round applies', () => proxy.applies === 2)
    release()
    await rounds(2)
    expect(content()).toBe('c d')
    expect(proxy.applies).toBe(2)
  })

  test('a proxy that waits for its turn gives way to a newer plan; what it then refuses is taken back to what it runs on', async () => {
    const { proxy, want, content, rounds } = setUp()
    want('a')
    await rounds(1)
    proxy.outcome = () =>
      new Promise((resolve) => proxy.newer?.addEventListener('abort', () => resolve({ how: 'later', ms: 0 })))
    want('a', 'b')
    await until('the second round waits', () => proxy.applies === 2)
    expect(content()).toBe('a b')
    proxy.outcome = async () => {
      throw new Error('no')
    }
    want('a', 'b', 'c')
    await rounds(3)
    expect(content()).toBe('a')
  })

  test.each([
    ['is loaded all the same', async (): Promise<Applied> => ({ how: 'reload', ms: 1 }), 'a b'],
    ['is taken back when it cannot be', () => Promise.reject(new Error('no')), 'a'],
  ])('what waits for its turn when the next plan is refused %s', async (_, outcome, left) => {
    const { proxy, lane, want, content, rounds } = setUp()
    want('a')
    await rounds(1)
    proxy.outcome = () =>
      new Promise((resolve) => proxy.newer?.addEventListener('abort', () => resolve({ how: 'later', ms: 0 })))
    want('a', 'b')
    await until('the second round waits', () => proxy.applies === 2)
    proxy.outcome = outcome
    proxy.verdict = () => ({ ok: false, message: 'the base is broken', culprits: [] })
    want('a', 'b', 'c')
    await rounds(3)
    expect([content(), proxy.applies]).toEqual([left, 3])
    expect(lane.state()).toMatchObject({ error: expect.stringContaining('the base is broken'), failures: 1 })
  })

  test('a file that somebody else changed is put right', async () => {
    const { proxy, lane, want, content, rounds } = setUp()
    want('a')
    await rounds(1)
    const { writeFileSync } = await import('node:fs')
    writeFileSync(join(proxy.root, 'backends'), 'vandal\n')
    lane.nudge()
    await rounds(2)
    expect(content()).toBe('a')
  })

  test('a template that is broken keeps the last good output and says why', async () => {
    const { proxy, lane, want, content, rounds } = setUp()
    want('a')
    await rounds(1)
    const { render } = proxy
    proxy.render = () => {
      throw new Error('template x.hbs line 3: no')
    }
    want('a', 'b')
    await rounds(2)
    expect(content()).toBe('a')
    expect(lane.state().error).toBe('template x.hbs line 3: no')
    proxy.render = render
    lane.nudge()
    await rounds(3)
    expect(content()).toBe('a b')
  })

  describe('telling when a plan is in force', () => {
    /** Whether a promise has resolved by now. */
    const noting = (promise: Promise<void>) => {
      const seen = { resolved: false }
      promise.then(
        () => {
          seen.resolved = true
        },
        () => undefined,
      )
      return seen
    }
    const patient = new AbortController().signal

    test('waits for a plan that is made afterwards, not for the one under way', async () => {
      const { proxy, lane, want, rounds } = setUp()
      let release: () => void = () => undefined
      proxy.outcome = () => new Promise((resolve) => (release = () => resolve({ how: 'reload', ms: 1 })))
      want('a')
      await until('the first round applies', () => proxy.applies === 1)
      const seen = noting(lane.inForce(patient))
      release()
      await until('the second round applies', () => proxy.applies === 2)
      expect(seen.resolved).toBe(false)
      release()
      await rounds(2)
      expect(seen.resolved).toBe(true)
    })

    test('resolves when the proxy has it already', async () => {
      const { lane, want, rounds } = setUp()
      want('a')
      await rounds(1)
      await lane.inForce(patient)
    })

    test('a round that fails or waits for its turn puts nothing in force', async () => {
      const { proxy, lane, clock, want, rounds } = setUp()
      want('a')
      await rounds(1)
      proxy.outcome = () => Promise.reject(new Error('no'))
      const seen = noting(lane.inForce(patient))
      await rounds(2)
      expect(seen.resolved).toBe(false)
      proxy.outcome = async () => ({ how: 'later', ms: 0 })
      lane.nudge()
      await rounds(3)
      expect(seen.resolved).toBe(false)
      proxy.outcome = async () => ({ how: 'runtime', ms: 1 })
      await until('the lane waits before it tries again', () => clock.sleepers() > 0)
      await clock.pass(60_000)
      await rounds(4)
      expect(seen.resolved).toBe(true)
    })

    test('what waits for its turn is loaded though the next plan is refused, which is not in force by that', async () => {
      const { proxy, lane, want, rounds } = setUp()
      want('a')
      await rounds(1)
      proxy.outcome = () =>
        new Promise((resolve) => proxy.newer?.addEventListener('abort', () => resolve({ how: 'later', ms: 0 })))
      want('a', 'b')
      await until('the second round waits', () => proxy.applies === 2)
      proxy.outcome = async () => ({ how: 'reload', ms: 1 })
      proxy.verdict = () => ({ ok: false, message: 'the base is broken', culprits: [] })
      want('a', 'b', 'c')
      const seen = noting(lane.inForce(patient))
      await rounds(3)
      expect([proxy.applies, seen.resolved]).toEqual([3, false])
    })

    test('ends with its signal', async () => {
      const { lane } = setUp()
      const ending = new AbortController()
      const waiting = lane.inForce(ending.signal)
      ending.abort(new Error('enough'))
      await expect(waiting).rejects.toThrow('enough')
      await expect(lane.inForce(ending.signal)).rejects.toThrow('enough')
    })
  })
})

describe('the changes that a lane remembers', () => {
  test('tell when, how, in what time and why, what was done, and which backends and files it was about', async () => {
    const { root, proxy, lane, clock, want, rounds } = setUp()
    want('a', 'b')
    await rounds(1)
    await clock.pass(5000)
    const steps = { count: 1, first: ['add server c/c'] }
    proxy.outcome = async () => ({ how: 'runtime', ms: 7.5, steps })
    want('b', 'c')
    await rounds(2)
    proxy.outcome = async () => ({ how: 'reload', ms: 30, why: 'somebody else has reloaded it' })
    lane.nudge()
    await rounds(3)
    const files = [join(root, 'backends')]
    expect(lane.state().changes).toEqual([
      {
        at: clock.now(),
        how: 'reload',
        ms: 30,
        backends: { count: 0, first: [] },
        files: [],
        why: 'somebody else has reloaded it',
      },
      { at: clock.now(), how: 'runtime', ms: 7.5, backends: { count: 2, first: ['c', 'a'] }, files, steps },
      { at: clock.now() - 5000, how: 'reload', ms: 1, backends: { count: 2, first: ['a', 'b'] }, files },
    ])
  })

  test('are the last ten, the newest first, with ten names each however many there are', async () => {
    const { lane, want, rounds } = setUp()
    for (let count = 1; count <= 12; count++) {
      want(...Array.from({ length: count * 5 }, (_, index) => `r${count}-${index}`))
      await rounds(count)
    }
    const { changes } = lane.state()
    expect(changes.map(({ backends }) => backends.count)).toEqual([115, 105, 95, 85, 75, 65, 55, 45, 35, 25])
    expect(changes.every(({ backends }) => backends.first.length === 10)).toBe(true)
  })

  test('do not hold rounds in which nothing was to do; files of which the proxy needs to know nothing are only written', async () => {
    const { proxy, lane, want, rounds } = setUp()
    proxy.outcome = async () => ({ how: 'nothing', ms: 0 })
    want('a')
    await rounds(1)
    lane.nudge()
    await rounds(2)
    expect(lane.state().changes).toMatchObject([{ how: 'written', backends: { first: ['a'] } }])
    expect(lane.state().applies).toEqual({ written: 1 })
  })

  test('name what was loaded when the plan after it was refused', async () => {
    const { proxy, lane, want, rounds } = setUp()
    want('a')
    await rounds(1)
    proxy.outcome = () =>
      new Promise((resolve) => proxy.newer?.addEventListener('abort', () => resolve({ how: 'later', ms: 0 })))
    want('a', 'b')
    await until('the second round waits', () => proxy.applies === 2)
    proxy.outcome = async () => ({ how: 'reload', ms: 2 })
    proxy.verdict = () => ({ ok: false, message: 'the base is broken', culprits: [] })
    want('a', 'b', 'c')
    await rounds(3)
    expect(lane.state().changes[0]).toMatchObject({ ms: 2, backends: { first: ['b'] } })
  })
})

describe('what a lane says will come', () => {
  test('is what the proxy says, and which files would be written; nothing is written', async () => {
    const { root, proxy, lane, want, content, preview, rounds } = setUp()
    want('a')
    await rounds(1)
    expect(await preview()).toEqual({ name: 'fake', how: 'nothing', steps: [], files: [], refused: [] })
    proxy.outcome = () => new Promise(() => undefined)
    proxy.render = ({ backends }) => [{ path: join(root, 'backends'), content: `new ${backends.length}\n` }]
    expect(await preview()).toMatchObject({ how: 'written', files: [join(root, 'backends')] })
    const steps = [{ action: 'add', text: 'add server b/b' }] as const
    proxy.foreseen = { how: 'runtime', steps }
    expect(await preview()).toMatchObject({ how: 'runtime', steps, files: [join(root, 'backends')] })
    expect(content()).toBe('a')
    expect([proxy.checks, proxy.applies, lane.state().changes.length]).toEqual([1, 1, 1])
  })

  test('leaves out what is refused until that has changed', async () => {
    const { proxy, lane, want, preview, rounds } = setUp()
    proxy.verdict = (text) =>
      text.includes('bad') ? { ok: false, message: 'bad is bad', culprits: ['bad'] } : { ok: true }
    want('a', 'bad')
    await rounds(1)
    expect(await preview()).toMatchObject({ files: [], refused: [{ backend: 'bad', reason: 'bad is bad' }] })
    proxy.outcome = () => new Promise(() => undefined)
    proxy.verdict = () => ({ ok: true })
    proxy.render = () => {
      throw new Error('not now')
    }
    lane.reconsider()
    await until('the lane has failed', () => lane.state().error !== undefined)
    expect(await preview()).toMatchObject({ how: 'blocked', why: 'not now', refused: [], error: 'not now' })
  })

  test('is that it is too early while nothing is known', async () => {
    expect(await setUp().preview()).toMatchObject({ how: 'blocked', why: 'no source has told yet what is running' })
  })
})
