import { afterEach, describe, expect, test } from '@jest/globals'
import { createDeferred, type Deferred } from '../../src/lib/deferred.js'
import type { Logger } from '../../src/lib/logger.js'
import { createRegistration } from '../../src/reconcile/registration.js'
import type { AnnouncedFacts, Registry, SyncResult } from '../../src/registries/registry.js'
import { createFakeClock } from '../support/clock.js'
import { instance } from '../support/instances.js'

const stopping: AbortController[] = []
afterEach(() => {
  for (const controller of stopping.splice(0)) controller.abort()
})

const DONE: SyncResult = { entries: 1, written: 1, removed: 0, troubles: [] }

/** A registry whose syncs end when the test says so. */
function setUp(over: Partial<Registry> = {}) {
  const clock = createFakeClock()
  const syncs: { facts: AnnouncedFacts; end: Deferred<SyncResult> }[] = []
  const said: string[] = []
  const log = {
    child: () => log,
    ...Object.fromEntries(
      ['info', 'warn', 'error'].map((level) => [
        level,
        ({ trouble }: { trouble?: string }, text: string) =>
          void said.push(`${level}: ${text}${trouble ? ` (${trouble})` : ''}`),
      ]),
    ),
  } as unknown as Logger
  let facts: AnnouncedFacts | undefined = { instances: [instance('web')], isWhole: true, draining: new Set() }
  let disturb: () => void = () => undefined
  const registry: Registry = {
    name: 'test',
    sync(given) {
      const end = createDeferred<SyncResult>()
      syncs.push({ facts: given, end })
      return end.promise
    },
    run(disturbed, signal) {
      disturb = disturbed
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
    },
    ...over,
  }
  const registration = createRegistration({ registry, facts: () => facts, pollIntervalMs: 10_000, clock, log })
  const controller = new AbortController()
  stopping.push(controller)
  const running = registration.run(controller.signal)
  running.catch(() => undefined)
  return {
    ...{ registration, clock, syncs, said, running },
    disturb: () => disturb(),
    know: (next: AnnouncedFacts | undefined) => {
      facts = next
    },
    /** Ends the sync that is under way. */
    async end(result: SyncResult | Error = DONE) {
      if (result instanceof Error) syncs.at(-1)?.end.reject(result)
      else syncs.at(-1)?.end.resolve(result)
      await clock.pass(0)
    },
  }
}

describe('a registry that is kept in step', () => {
  test('gets the facts at once, and everything that comes meanwhile as one next sync', async () => {
    const { registration, syncs, end } = setUp()
    expect(syncs).toHaveLength(1)
    for (let count = 0; count < 5; count++) registration.nudge()
    expect(syncs).toHaveLength(1)
    await end()
    expect(syncs).toHaveLength(2)
    await end()
    expect(syncs).toHaveLength(2)
    expect(registration.state()).toMatchObject({ entries: 1, writes: 2, failures: 0 })
  })

  test('is looked after at every interval, and when it asks for it', async () => {
    const { syncs, end, clock, disturb } = setUp()
    await end()
    await clock.pass(9999)
    expect(syncs).toHaveLength(1)
    await clock.pass(1)
    expect(syncs).toHaveLength(2)
    await end()
    disturb()
    await clock.pass(0)
    expect(syncs).toHaveLength(3)
  })

  test('is told nothing while it is too early to tell', async () => {
    const { syncs, registration, clock, end, know } = setUp()
    know(undefined)
    await end()
    registration.nudge()
    await clock.pass(20_000)
    expect(syncs).toHaveLength(1)
    know({ instances: [], isWhole: false, draining: new Set() })
    registration.nudge()
    await clock.pass(0)
    expect(syncs.at(-1)?.facts.isWhole).toBe(false)
  })

  test('that fails is tried again, ever more slowly, sooner when something new comes; it is said once, and when it is over', async () => {
    const { syncs, registration, clock, end, said } = setUp()
    await end(new Error('no way'))
    expect(registration.state()).toMatchObject({ error: 'no way', failures: 1 })
    await clock.pass(250)
    await end(new Error('no way'))
    await clock.pass(250)
    expect(syncs).toHaveLength(2)
    registration.nudge()
    await clock.pass(0)
    expect(syncs).toHaveLength(3)
    await end()
    expect(registration.state()).toMatchObject({ failures: 2 })
    expect(registration.state().error).toBeUndefined()
    expect(said).toEqual([
      'error: announcing failed; it is tried again, and nothing is taken back',
      'info: the registry is in step again',
      'info: announced',
    ])
  })

  test('has each of its troubles said once, and once when it is over', async () => {
    const { registration, clock, end, said } = setUp()
    const troubled = (...troubles: string[]) => ({ ...DONE, written: 0, troubles })
    await end(troubled('a', 'b'))
    registration.nudge()
    await clock.pass(0)
    await end(troubled('b', 'c'))
    expect(registration.state().troubles).toEqual(['b', 'c'])
    expect(said).toEqual([
      'warn: not announced as it should be (a)',
      'warn: not announced as it should be (b)',
      'warn: not announced as it should be (c)',
      'info: a trouble is over (a)',
    ])
  })

  test('whose own loop breaks down is not in step any more, and says so', async () => {
    const broken = createDeferred<void>()
    const { registration, running, end, clock } = setUp({ run: () => broken.promise })
    await end()
    broken.reject(new Error('broken'))
    await clock.pass(0)
    await expect(running).rejects.toThrow('broken')
    expect(registration.state().error).toBe('broken')
  })

  test.each([
    [true, ['withdraw', 'close']],
    [false, ['close']],
  ])('is left in order (withdrawing: %s)', async (withdraw, calls) => {
    const called: string[] = []
    const { registration } = setUp({
      withdraw: async () => void called.push('withdraw'),
      close: async () => void called.push('close'),
    })
    await registration.end(withdraw, new AbortController().signal)
    expect(called).toEqual(calls)
  })
})
