import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Logger, pino } from 'pino'
import { createGate, type Gate } from '../../src/lifecycle/gate.js'
import type { ProbeTarget } from '../../src/lifecycle/probe.js'
import { type Instance, isLive } from '../../src/model/instance.js'
import { createPlanner } from '../../src/model/planner.js'
import { createWishReader } from '../../src/model/reader.js'
import type { LabelRules } from '../../src/model/wishes.js'
import { createFakeClock } from '../support/clock.js'
import { instance, rules as usualRules } from '../support/instances.js'

const gates: Gate[] = []
afterEach(() => {
  for (const gate of gates.splice(0)) gate.stop()
})

interface Options {
  readonly enabled?: boolean
  /** The first facts of the source. */
  readonly first?: readonly Instance[]
  readonly rules?: LabelRules
}

/** A gate whose containers answer when the test says so. */
function setUp({ enabled = true, first = [], rules = usualRules }: Options = {}) {
  const clock = createFakeClock()
  const open = new Set<string>()
  const tries: ProbeTarget[] = []
  const warnings: string[] = []
  let changes = 0
  const gate = createGate({
    read: createWishReader(rules),
    rules,
    readiness: { enabled, timeout: 60_000 },
    probe: async (target) => {
      tries.push(target)
      return open.has(`${target.address}:${target.port}`)
    },
    changed: () => changes++,
    clock,
    log: pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line).msg) }) as Logger,
  })
  gates.push(gate)
  const pass = (...instances: Instance[]) => gate.pass(instances, ['test'])
  pass(...first)
  return { gate, clock, open, tries, warnings, pass, changes: () => changes }
}

const web = (over: Partial<Instance> = {}) => instance('web', { port: '80' }, over)

describe('what has just started', () => {
  test('is handed on as starting until its port accepts, then as it is, and that is told once', async () => {
    const { pass, open, clock, changes } = setUp()
    const facts = [web()]
    expect(pass(...facts)[0]).toMatchObject({ id: 'web', state: 'running', health: 'starting' })
    await clock.pass(100)
    expect(changes()).toBe(0)
    open.add('10.0.0.1:80')
    await clock.pass(100)
    expect(pass(...facts)[0]).toBe(facts[0])
    await clock.pass(10_000)
    expect(changes()).toBe(1)
  })

  test('makes its backend wait for the public port, not for nobody', () => {
    const { pass } = setUp()
    const [backend] = createPlanner(usualRules)(pass(web())).backends
    expect(backend).toMatchObject({ held: true, servers: [], waiting: [{ instance: 'web', reason: 'starting' }] })
  })

  test('is asked at every port that its routes lead to, each once, and waited for until all answer', async () => {
    const many = instance('web', { port: '80', 'routes.a.port': '81', 'routes.b.port': '81', 'routes.b.path': '/b' })
    const { pass, open, clock, tries, changes } = setUp()
    pass(many)
    expect(tries.map(({ port }) => port)).toEqual([80, 81])
    open.add('10.0.0.1:81')
    await clock.pass(1000)
    expect(changes()).toBe(0)
    open.add('10.0.0.1:80')
    await clock.pass(1000)
    expect(changes()).toBe(1)
    expect(pass(many)[0]).toBe(many)
  })

  test('is asked its health where it names a path', () => {
    const checked = instance('web', {
      port: '80',
      host: '*.shop.test',
      scheme: 'https',
      'health-check': 'https://localhost:8443/up?x=1',
      'health-check-status': '200,204',
    })
    const { pass, tries } = setUp()
    pass(checked)
    expect(tries).toEqual([
      {
        address: '10.0.0.1',
        port: 8443,
        scheme: 'https',
        forwarded: false,
        check: { path: '/up?x=1', status: '200,204', host: 'check.shop.test' },
      },
    ])
  })

  test('is asked where the host forwards to it, when nothing else leads there', () => {
    const published = (labels: Record<string, string>) =>
      instance(
        'web',
        { port: '80', ...labels },
        {
          networks: [],
          ports: [
            { port: 80, published: { address: '127.0.0.1', port: 32001 } },
            { port: 81, published: { address: '127.0.0.1', port: 32002 } },
            { port: 82 },
          ],
        },
      )
    const targets = (labels: Record<string, string>) => {
      const { pass, tries } = setUp()
      pass(published(labels))
      return tries.map(({ port, forwarded, check }) => [port, forwarded, check?.path])
    }
    expect(targets({})).toEqual([[32001, true, undefined]])
    expect(targets({ 'health-check': 'http://localhost:81/up' })).toEqual([[32002, true, '/up']])
    expect(targets({ 'health-check': 'http://localhost:82/up' })).toEqual([[32001, true, undefined]])
  })

  test.each([
    ['another container', 'http://10.0.0.2/up'],
    ['the cloud’s metadata', 'http://169.254.169.254/latest'],
  ])('is asked nothing when its health-check points at %s: that route is refused', (_, check) => {
    const { pass, tries } = setUp()
    const liar = instance('web', { port: '80', 'health-check': check })
    expect(pass(liar)[0]).toBe(liar)
    expect(tries).toEqual([])
  })

  test('is asked often at first, then ever more seldom', async () => {
    const { pass, clock, tries } = setUp()
    pass(web())
    const during = async (ms: number) => {
      const before = tries.length
      for (let passed = 0; passed < ms; passed += 5) await clock.pass(5)
      return tries.length - before
    }
    const [first, second] = [await during(100), await during(900)]
    expect(first).toBeGreaterThanOrEqual(9)
    expect(second).toBeGreaterThan(25)
    await clock.pass(45_000)
    expect(await during(5_000)).toBeLessThanOrEqual(6)
  })

  test('is never routed to while the health check that predecessor 2 asked does not answer, and that is told', async () => {
    const rules = { ...usualRules, direct: { ...usualRules.direct, cookieRouting: true } }
    const { pass, clock, open, warnings, changes, tries } = setUp({ rules })
    const minion = instance('minion', { port: '80', origin: 'spawner' })
    const facts = [{ ...minion, labels: { ...minion.labels, 'health-check': 'http://minion:80/status' } }]
    pass(...facts)
    await clock.pass(130_000)
    expect(pass(...facts)[0]).toMatchObject({ health: 'starting' })
    expect(changes()).toBe(0)
    expect(tries[0]?.check).toMatchObject({ path: '/status', status: '200,300-399' })
    expect(new Set(warnings)).toEqual(new Set(['its health check does not answer as it should; no request goes there']))
    open.add('10.0.0.1:80')
    await clock.pass(5000)
    expect(pass(...facts)[0]).toBe(facts[0])
  })

  test('is routed after the time-out all the same, with one warning', async () => {
    const { pass, clock, warnings, changes } = setUp()
    const facts = [web()]
    pass(...facts)
    await clock.pass(59_000)
    expect([changes(), warnings]).toEqual([0, []])
    await clock.pass(1000)
    expect(pass(...facts)[0]).toBe(facts[0])
    await clock.pass(60_000)
    expect(changes()).toBe(1)
    expect(warnings).toEqual(['it runs but does not answer in time; it is routed to all the same'])
  })

  test('is not asked at all where the setting says so', () => {
    const { pass, tries } = setUp({ enabled: false })
    const facts = [web()]
    expect(pass(...facts)[0]).toBe(facts[0])
    expect(tries).toEqual([])
  })

  test('is let through when it takes no traffic anyway', () => {
    const { pass } = setUp()
    const facts = [
      instance('db', { port: 'none' }),
      web({ health: 'starting' }),
      web({ id: 'b', state: 'stopped' }),
      instance('stranger'),
    ]
    const passed = pass(...facts)
    for (const [index, one] of passed.entries()) expect(one).toBe(facts[index])
  })

  test('keeps its own reason while it has no address, and is asked when it has one', async () => {
    const { pass, tries, open, clock } = setUp()
    const bare = web({ networks: [] })
    expect(pass(bare)[0]).toBe(bare)
    const reachable = web()
    expect(pass(reachable)[0]).toMatchObject({ health: 'starting' })
    await clock.pass(0)
    expect(tries).toHaveLength(1)
    open.add('10.0.0.1:80')
    await clock.pass(100)
    expect(pass(reachable)[0]).toBe(reachable)
  })
})

describe('what has just started is waited with', () => {
  const isOver = (settled: Promise<void> | undefined) => {
    const over = { yes: false }
    settled?.then(() => {
      over.yes = true
    })
    return over
  }

  test('until it answers', async () => {
    const { pass, gate, open, clock } = setUp()
    pass(web())
    const over = isOver(gate.settled?.())
    await clock.pass(2)
    expect(over.yes).toBe(false)
    open.add('10.0.0.1:80')
    await clock.pass(2)
    expect(over.yes).toBe(true)
  })

  test('for 25 ms, be it that it never answers', async () => {
    const { pass, gate, clock } = setUp()
    pass(web())
    const over = isOver(gate.settled?.())
    await clock.pass(24)
    expect(over.yes).toBe(false)
    await clock.pass(1)
    expect(over.yes).toBe(true)
  })

  test('once', () => {
    const { pass, gate } = setUp()
    const facts = [web()]
    pass(...facts)
    expect(gate.settled?.()).toBeInstanceOf(Promise)
    pass(...facts)
    expect(gate.settled?.()).toBeUndefined()
  })

  test.each<[string, Instance[]]>([
    ['one that is gone', []],
    ['one that fails', [instance('old', { port: '80' }, { health: 'unhealthy' })]],
    ['one that takes no traffic', [instance('old', { port: '80' }), instance('db', { port: 'none' })]],
  ])('but not when other news came with it: %s', (_, others) => {
    const old = instance('old', { port: '80' })
    const { pass, gate } = setUp({ first: [old] })
    pass(...others.map((one) => (one.health === old.health && one.name === 'old' ? old : one)), web())
    expect(gate.settled?.()).toBeUndefined()
  })
})

describe('what was live before', () => {
  test('the first facts of a source are let through: a restart of Hostler empties nothing', () => {
    const facts = [web()]
    const { gate, tries } = setUp()
    expect(gate.pass(facts, ['test', 'test'])[0]).not.toBe(facts[0])
    const anew = setUp({ first: facts })
    expect(anew.pass(...facts)[0]).toBe(facts[0])
    expect(anew.tries).toEqual([])
    expect(tries).toHaveLength(1)
  })

  test('each source has first facts of its own, be they empty', () => {
    const { gate } = setUp()
    const [a, b] = [web(), web({ source: 'other' })]
    expect(gate.pass([a, b], ['test', 'other']).map(({ health }) => health)).toEqual(['starting', 'none'])
    const c = web({ id: 'c', source: 'other' })
    expect(gate.pass([a, b, c], ['test', 'other'])[2]?.health).toBe('starting')
  })

  test('stays through while only other things about it change', () => {
    const { pass } = setUp({ first: [web()] })
    const renamed = web({ name: 'renamed' })
    expect(pass(renamed)[0]).toBe(renamed)
  })

  test.each<[string, Partial<Instance>]>([
    ['stopped', { state: 'stopped' }],
    ['paused', { state: 'paused' }],
    ['unhealthy', { health: 'unhealthy' }],
    ['restarting', { state: 'restarting' }],
  ])('is asked again after it was %s', (_, over) => {
    const { pass, tries } = setUp({ first: [web()] })
    const away = web(over)
    expect(pass(away)[0]).toBe(away)
    expect(pass(web())[0]?.health).toBe('starting')
    expect(tries).toHaveLength(1)
  })

  test('is asked again after it was gone, even if it comes back as the same object', () => {
    const facts = web()
    const { pass } = setUp({ first: [facts] })
    pass()
    expect(pass(facts)[0]).toMatchObject({ health: 'starting' })
  })
})

describe('a container that is being asked', () => {
  test('goes on being asked when something else about it changes', async () => {
    const { pass, open, clock, changes } = setUp()
    pass(web())
    const renamed = web({ name: 'renamed' })
    expect(pass(renamed)[0]).toMatchObject({ name: 'renamed', health: 'starting' })
    await clock.pass(59_990)
    open.add('10.0.0.1:80')
    await clock.pass(1000)
    expect(changes()).toBe(1)
    expect(pass(renamed)[0]).toBe(renamed)
  })

  test('is asked at its new address when it moves', async () => {
    const { pass, open, clock, changes } = setUp()
    pass(web())
    const moved = web({ networks: [{ name: 'web', address: '10.0.0.9', shared: false }] })
    pass(moved)
    open.add('10.0.0.1:80')
    await clock.pass(1000)
    expect(changes()).toBe(0)
    open.add('10.0.0.9:80')
    await clock.pass(1000)
    expect(pass(moved)[0]).toBe(moved)
  })

  test.each([
    ['ends', (pass: (...facts: Instance[]) => unknown) => pass(web({ state: 'stopped' }))],
    ['is gone', (pass: (...facts: Instance[]) => unknown) => pass()],
  ])('is asked no more when it %s', async (_, end) => {
    const { pass, tries, clock, changes } = setUp()
    pass(web())
    end(pass)
    const before = tries.length
    await clock.pass(120_000)
    expect([tries.length - before, changes()]).toEqual([0, 0])
  })
})

describe('what is about to be stopped', () => {
  test('is handed on as stopping until it is released, and each is told once', () => {
    const facts = [web()]
    const { gate, pass, changes } = setUp({ first: facts })
    gate.withhold(['test web'])
    gate.withhold(['test web'])
    expect(pass(...facts)[0]).toMatchObject({ id: 'web', state: 'stopping' })
    expect([gate.isWithheld('test web'), changes()]).toEqual([true, 1])
    gate.release(['test web'])
    gate.release(['test web'])
    expect(pass(...facts)[0]).toBe(facts[0])
    expect([gate.isWithheld('test web'), changes()]).toEqual([false, 2])
  })

  test('stays withheld when the facts make a new object of it, and shows when it has ended', () => {
    const { gate, pass } = setUp({ first: [web()] })
    gate.withhold(['test web'])
    expect(pass(web({ name: 'renamed' }))[0]).toMatchObject({ name: 'renamed', state: 'stopping' })
    const ended = web({ state: 'stopped' })
    expect(pass(ended)[0]).toBe(ended)
    expect(pass(web())[0]?.state).toBe('stopping')
  })

  test('is withheld though it answers meanwhile, and released as ready', async () => {
    const { gate, pass, open, clock } = setUp()
    const facts = [web()]
    pass(...facts)
    gate.withhold(['test web'])
    await clock.pass(0)
    open.add('10.0.0.1:80')
    await clock.pass(1000)
    expect(pass(...facts)[0]?.state).toBe('stopping')
    gate.release(['test web'])
    expect(pass(...facts)[0]).toBe(facts[0])
  })

  test('can be withheld before it is known', () => {
    const { gate, pass } = setUp()
    gate.withhold(['test web'])
    expect(pass(web())[0]?.state).toBe('stopping')
  })
})

describe('identity', () => {
  test('the same facts and nothing new give the same array; nothing to hide gives the one that came', () => {
    const facts = [web(), instance('b', { port: '80' })]
    const { gate } = setUp({ first: facts })
    expect(gate.pass(facts, ['test'])).toBe(facts)
    gate.withhold(['test b'])
    const hidden = gate.pass(facts, ['test'])
    expect(hidden).not.toBe(facts)
    expect(gate.pass(facts, ['test'])).toBe(hidden)
    expect(gate.pass([...facts], ['test'])).toBe(hidden)
    expect(hidden[0]).toBe(facts[0])
  })

  test('one change among many touches one: every other object is handed on as it is', () => {
    const facts = Array.from({ length: 500 }, (_, index) => instance(`c${index}`, { port: '80' }))
    const { gate } = setUp({ first: facts })
    const before = gate.pass(facts, ['test'])
    const now = facts.with(250, { ...facts[250]!, state: 'stopped' })
    const after = gate.pass(now, ['test'])
    expect(after.filter((one, index) => one !== before[index])).toEqual([now[250]])
  })
})

test('whatever happens, only what answered or was there first takes traffic, and what is withheld never does', async () => {
  const states = fc.constantFrom<Partial<Instance> | 'gone'>(
    {},
    { state: 'stopped' },
    { state: 'paused' },
    { health: 'unhealthy' },
    { health: 'healthy' },
    { networks: [] },
    'gone',
  )
  const step = fc.oneof(
    fc.record({ kind: fc.constant('facts' as const), at: fc.nat(2), state: states }),
    fc.record({ kind: fc.constant('withhold' as const), at: fc.nat(2) }),
    fc.record({ kind: fc.constant('release' as const), at: fc.nat(2) }),
    fc.record({ kind: fc.constant('answer' as const), at: fc.nat(2) }),
    fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(5, 500, 61_000) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const make = (at: number, over: Partial<Instance> = {}) =>
        instance(
          `c${at}`,
          { port: '80' },
          { networks: [{ name: 'n', address: `10.0.0.${at}`, shared: false }], ...over },
        )
      const { gate, open, clock } = setUp()
      const facts = new Map<number, Instance>()
      const answered = new Set<number>()
      const withheld = new Set<number>()
      const mayAnswer = new Map<number, number>()
      const look = () => {
        const given = [...facts.values()]
        const passed = gate.pass(given, ['test'])
        expect(gate.pass(given, ['test'])).toBe(passed)
        for (const [index, one] of passed.entries()) {
          const at = Number(one.id.slice(1))
          if (withheld.has(at)) expect(isLive(one)).toBe(false)
          else if (isLive(one) && one.networks.length > 0)
            expect(answered.has(at) || clock.elapsed() - (mayAnswer.get(at) ?? 0) >= 60_000).toBe(true)
          else expect(one === given[index] || one.health === 'starting').toBe(true)
        }
      }
      for (const one of steps) {
        if (one.kind === 'time') await clock.pass(one.ms)
        else if (one.kind === 'withhold') withheld.add(one.at) && gate.withhold([`test c${one.at}`])
        else if (one.kind === 'release') {
          withheld.delete(one.at)
          gate.release([`test c${one.at}`])
        } else if (one.kind === 'answer') {
          open.add(`10.0.0.${one.at}:80`)
          answered.add(one.at)
        } else if (one.state === 'gone') facts.delete(one.at)
        else {
          const before = facts.get(one.at)
          const now = make(one.at, one.state)
          if (!before || !isLive(before)) mayAnswer.set(one.at, clock.elapsed())
          facts.set(one.at, now)
        }
        look()
      }
      gate.stop()
    }),
  )
})
