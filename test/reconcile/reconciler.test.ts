import { existsSync } from 'node:fs'
import { afterEach, describe, expect, test } from '@jest/globals'
import { createDeferred, type Deferred } from '../../src/lib/deferred.js'
import { silentLogger } from '../../src/lib/logger.js'
import type { Instance } from '../../src/model/instance.js'
import { createPlanner } from '../../src/model/planner.js'
import { createFactCache } from '../../src/reconcile/fact-cache.js'
import type { Lane } from '../../src/reconcile/lane.js'
import { createReconciler, type FactGate } from '../../src/reconcile/reconciler.js'
import type { Source, SourceEvents } from '../../src/sources/source.js'
import { createFakeClock } from '../support/clock.js'
import { instance, rules } from '../support/instances.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

const stopping: AbortController[] = []
afterEach(() => {
  for (const controller of stopping.splice(0)) controller.abort()
})

/** A source that says what the test wants. */
function fakeSource(name: string) {
  let events: SourceEvents | undefined
  const fake = {
    name,
    answer: (): readonly Instance[] => [],
    report: (...instances: Instance[]) => {
      fake.answer = () => instances
      events?.report(instances)
    },
    fail: (message: string) => {
      fake.answer = () => {
        throw new Error(message)
      }
      events?.failed(new Error(message))
    },
    list: async () => fake.answer(),
    watch: (given: SourceEvents, signal: AbortSignal) => {
      events = given
      return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    },
  }
  return fake satisfies Source
}

function setUp(sources: Source[], dir = tempDir(), gate?: FactGate) {
  const clock = createFakeClock()
  const nudges: (number | undefined)[] = []
  const lane = {
    nudge: (since?: number) => void nudges.push(since),
    run: async () => undefined,
  } as Partial<Lane> as Lane
  const reconciler = createReconciler({
    sources,
    ...(gate && { gate }),
    makePlan: createPlanner(rules),
    lanes: [lane],
    cache: createFactCache({ dir, log: silentLogger() }),
    pollIntervalMs: 10_000,
    clock,
    log: silentLogger(),
  })
  const controller = new AbortController()
  stopping.push(controller)
  void reconciler.run(controller.signal)
  return {
    reconciler,
    clock,
    dir,
    nudges,
    hosts: () => reconciler.plan()?.routes.map(({ host }) => host.split('.')[0]),
  }
}

describe('reconciling sources', () => {
  test('there is no plan before a source has told something', () => {
    const docker = fakeSource('docker')
    const { hosts } = setUp([docker])
    expect(hosts()).toBeUndefined()
    docker.report(instance('a', { port: '80' }))
    expect(hosts()).toEqual(['a'])
  })

  test('a source that fails keeps its last good facts, and the others go on', async () => {
    const [docker, file] = [fakeSource('docker'), fakeSource('file')]
    const { hosts, reconciler } = setUp([docker, file])
    docker.report(instance('a', { port: '80' }))
    file.report(instance('b', { port: '80' }))
    docker.fail('daemon is gone')
    file.report(instance('c', { port: '80' }))
    await until('the failure is noted', () => reconciler.sources()[0]?.error === 'daemon is gone')
    expect(hosts()).toEqual(['a', 'c'])
    docker.report(instance('d', { port: '80' }))
    expect(hosts()).toEqual(['c', 'd'])
    expect(reconciler.sources()[0]?.error).toBeUndefined()
  })

  test('a source that has neither answered nor failed holds the plan back, for its routes must not vanish', () => {
    const [docker, file] = [fakeSource('docker'), fakeSource('file')]
    const { hosts } = setUp([docker, file])
    file.report(instance('b', { port: '80' }))
    expect(hosts()).toBeUndefined()
  })

  test('a source that is down at start is remembered from an earlier run', async () => {
    const first = [fakeSource('docker'), fakeSource('file')] as const
    const before = setUp([...first])
    first[0].report(instance('a', { port: '80' }))
    first[1].report(instance('b', { port: '80' }))
    const { readdirSync } = await import('node:fs')
    await before.clock.pass(10_000)
    await until(
      'the facts are saved',
      () => readdirSync(`${before.dir}/facts`).filter((name) => name.endsWith('.json')).length === 2,
    )
    stopping.pop()?.abort()

    const [docker, file] = [fakeSource('docker'), fakeSource('file')]
    const { hosts, reconciler } = setUp([docker, file], before.dir)
    docker.fail('daemon is gone')
    file.report(instance('b', { port: '80' }))
    await until('the plan has both', () => hosts()?.join() === 'a,b')
    expect(reconciler.sources()[0]).toMatchObject({ name: 'docker', instances: 1, error: 'daemon is gone' })
  })

  test('what a source told last is remembered when it fails, however long ago everything was read', async () => {
    const first = fakeSource('docker')
    const before = setUp([first])
    first.report(instance('old', { port: '80' }))
    first.report(instance('new', { port: '80' }))
    first.fail('daemon is gone')
    await until('the facts are saved', () => existsSync(`${before.dir}/facts/docker.json`))
    stopping.pop()?.abort()

    const docker = fakeSource('docker')
    const { hosts } = setUp([docker], before.dir)
    docker.fail('daemon is gone')
    await until('the plan has them', () => hosts()?.join() === 'new')
  })

  test('with every source down and nothing remembered there is no plan, so nothing is published', async () => {
    const docker = fakeSource('docker')
    const { hosts, reconciler } = setUp([docker])
    docker.fail('daemon is gone')
    await until('the failure is noted', () => reconciler.sources()[0]?.error !== undefined)
    expect(hosts()).toBeUndefined()
  })

  test('a full pass comes every poll interval, whatever events say', async () => {
    const docker = fakeSource('docker')
    const { hosts, clock } = setUp([docker])
    docker.report(instance('a', { port: '80' }))
    docker.answer = () => [instance('b', { port: '80' })]
    expect(hosts()).toEqual(['a'])
    await clock.pass(10_000)
    expect(hosts()).toEqual(['b'])
  })

  test('a gate sees the facts of the sources that have told something, the same array while nothing changed', async () => {
    const [docker, file] = [fakeSource('docker'), fakeSource('file')]
    const both = ['docker', 'file']
    const seen: Parameters<FactGate['pass']>[] = []
    const { reconciler } = setUp([docker, file], tempDir(), {
      pass: (...args) => {
        seen.push(args)
        return args[0]
      },
    })
    const a = instance('a', { port: '80' })
    docker.report(a)
    file.fail('no such file')
    await until('the failure is noted', () => reconciler.plan() !== undefined)
    docker.report(a)
    reconciler.reconsider()
    reconciler.plan()
    file.report()
    reconciler.plan()
    expect(seen.map(([, sources]) => sources)).toEqual([['docker'], ['docker'], both, both])
    expect(seen[1]?.[0]).toBe(seen[0]?.[0])
    expect(seen[3]?.[0]).toBe(seen[2]?.[0])
  })

  test('what the gate says is planned when it says something else', () => {
    const docker = fakeSource('docker')
    let hidden = 'none'
    const { reconciler, hosts } = setUp([docker], tempDir(), {
      pass: (instances) => instances.filter(({ name }) => name !== hidden),
    })
    const told: unknown[] = []
    docker.report(instance('a', { port: '80' }), instance('b', { port: '80' }))
    expect(hosts()).toEqual(['a', 'b'])
    const end = reconciler.onChange(() => told.push(hosts()))
    hidden = 'a'
    expect(hosts()).toEqual(['a', 'b'])
    reconciler.reconsider()
    end()
    reconciler.reconsider()
    expect(told).toEqual([['b']])
  })

  describe('facts of which the gate will say more within milliseconds', () => {
    function setUpGate() {
      const docker = fakeSource('docker')
      const settled: Deferred<void>[] = []
      const gate: FactGate = {
        pass: (instances) => instances,
        settled() {
          settled.push(createDeferred())
          return settled.at(-1)?.promise
        },
      }
      return { docker, settled, ...setUp([docker], tempDir(), gate) }
    }

    test('lead to a plan at once and to a change of the proxies when that is settled', async () => {
      const { docker, settled, nudges, hosts, clock } = setUpGate()
      docker.report(instance('a', { port: '80' }))
      expect(hosts()).toEqual(['a'])
      const heard = clock.elapsed()
      await clock.pass(10)
      expect(nudges).toEqual([])
      settled[0]?.resolve()
      await clock.pass(0)
      expect(nudges).toEqual([heard])
    })

    test('are taken along by what cannot wait, and make no change of their own then', async () => {
      const { docker, settled, nudges, reconciler, clock } = setUpGate()
      docker.report(instance('a', { port: '80' }))
      reconciler.reconsider()
      expect(nudges).toHaveLength(1)
      settled[0]?.resolve()
      await clock.pass(0)
      expect(nudges).toHaveLength(1)
    })

    test('wait no longer for those that come after them', async () => {
      const { docker, settled, nudges, clock } = setUpGate()
      docker.report(instance('a', { port: '80' }))
      docker.report(instance('a', { port: '80' }), instance('b', { port: '80' }))
      settled[0]?.resolve()
      await clock.pass(0)
      expect(nudges).toHaveLength(1)
      settled[1]?.resolve()
      await clock.pass(0)
      expect(nudges).toHaveLength(1)
    })
  })
})
