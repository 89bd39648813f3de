import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { SleepReason } from '../../src/lifecycle/world.js'
import type { Behaviour } from '../support/runtime-double.js'
import { createTown, type Town } from '../support/town.js'

const CONTAINERS = ['db', 'migrate', 'front', 'worker', 'api', 'solo'] as const
const GROUPS = ['data', 'front', 'api', 'solo'] as const

/** Two stacks that share a database and a job, each with something of its own, and one that is paused. */
function build(engine: Town['engine']): void {
  const service = (name: string, group: string, dependsOn: string, more: Record<string, string> = {}) => ({
    ...{ port: 'none', wake: 'true', group, 'com.docker.compose.project': 'p', 'com.docker.compose.service': name },
    ...(dependsOn && { 'com.docker.compose.depends_on': dependsOn }),
    ...more,
  })
  engine.add('db', service('db', 'data', ''), { hasCheck: true, bootMs: 300, stopMs: 200 })
  engine.add('migrate', service('migrate', 'data', 'db:service_healthy:true'), { state: 'stopped', exitsAfterMs: 100 })
  const front = 'db:service_healthy:true,migrate:service_completed_successfully:true'
  engine.add('front', service('front', 'front', front, { port: '80', host: 'front.test' }), {
    bootMs: 400,
    stopMs: 700,
  })
  engine.add('worker', service('worker', 'front', 'front:service_started:true'), { bootMs: 100 })
  const api = { port: '80', host: 'api.test' }
  engine.add('api', service('api', 'api', 'db:service_started:true', api), { bootMs: 100, hasCheck: true, stopMs: 100 })
  engine.add('solo', { port: '80', wake: 'true', host: 'solo.test', 'on-idle': 'pause' }, { bootMs: 200 })
}

type Command =
  | { readonly do: 'wake'; readonly group: string }
  | { readonly do: 'sleep'; readonly group: string; readonly why: SleepReason }
  | { readonly do: 'start' | 'stop' | 'pause' | 'crash' | 'ail'; readonly name: string }
  | { readonly do: 'behave'; readonly name: string; readonly as: Partial<Behaviour> }
  | { readonly do: 'sessions'; readonly name: string; readonly count: number }
  | { readonly do: 'trouble'; readonly with: 'facts' | 'engine' | 'proxy'; readonly isOver: boolean }
  | { readonly do: 'apply'; readonly ms: number }
  | { readonly do: 'time'; readonly ms: number }

const name = fc.constantFrom(...CONTAINERS)
const group = fc.constantFrom(...GROUPS)
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wake' as const), group }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('sleep' as const),
      group,
      why: fc.constantFrom<SleepReason>('idle', 'asked'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('start' as const, 'stop' as const, 'pause' as const), name }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('crash' as const, 'ail' as const), name }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('behave' as const),
      name: fc.constantFrom('db', 'front', 'api', 'solo'),
      as: fc.constantFrom<Partial<Behaviour>>(
        { boots: 'never' },
        { boots: 'unhealthy' },
        { boots: 'well', exitsAfterMs: undefined },
        { exitsAfterMs: 250, exitCode: 1 },
        { exitsAfterMs: 250, exitCode: 1, restarts: true },
        { failStart: 'refused' },
        { failStart: undefined, failStop: undefined },
        { failStop: 'refused' },
        { startMs: 300 },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('sessions' as const),
      name: fc.constantFrom('front', 'api', 'solo'),
      count: fc.nat(1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('trouble' as const),
      with: fc.constantFrom('facts' as const, 'engine' as const, 'proxy' as const),
      isOver: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('apply' as const), ms: fc.constantFrom(0, 30, 400) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(50, 300, 1500, 12_000) }) },
)

/** As many as said, where fast-check would rather have few. */
const many = fc.array(command, { minLength: 5, maxLength: 40, size: 'max' })

/** Looks over a town's shoulder. */
function watchOver(town: Town) {
  const { engine, proxy } = town
  const wrongs: string[] = []
  /** Asked to stop though a proxy that took no plan may have led there: only what was unhealthy may be. */
  const excused = new Set<string>()
  const open = new Set<Promise<unknown>>()
  const routed = (container: string): boolean =>
    proxy.current?.backends.some(({ servers }) => servers.some(({ instance }) => instance === container)) === true
  engine.onStop = (container) => {
    if (proxy.isBroken && engine.get(container).health === 'unhealthy') excused.add(container)
    else excused.delete(container)
    const isUsed = container === 'db' && ['front', 'api'].some((user) => engine.get(user).state === 'running')
    if (isUsed && engine.get('db').health === 'healthy') wrongs.push('the database was stopped under somebody')
    look()
  }
  /** Every route is tried: a request that meets a container which we have asked to stop is lost. */
  function look(): void {
    for (const container of CONTAINERS) {
      const { isAskedByUs } = engine.get(container)
      if (isAskedByUs && routed(container) && !excused.has(container))
        wrongs.push(`a request met ${container}, which was told to stop`)
    }
  }
  const keep = (promise: Promise<unknown>) => {
    open.add(promise)
    const done = () => void open.delete(promise)
    promise.then(done, done)
  }
  return {
    wrongs,
    open,
    look,
    wake(group: string) {
      const wake = town.waker.wake(group).then(() => {
        const bare = town.world
          .plan()
          ?.backends.filter((backend) => backend.group === group && backend.servers.length === 0)
        if (bare?.length !== 0)
          wrongs.push(`${group} was said to be awake, and ${bare?.map(({ name }) => name)} is not`)
      })
      keep(wake)
      return wake
    },
    sleep(group: string, why: SleepReason) {
      const sleep = town.sleeper.sleep(group, why)
      keep(sleep)
      return sleep
    },
    async time(ms: number, stepMs: number) {
      for (let passed = 0; passed < ms; passed += stepMs) {
        await town.clock.pass(Math.min(stepMs, ms - passed))
        look()
      }
    },
  }
}

type Watch = ReturnType<typeof watchOver>

async function carryOut(one: Command, town: Town, watch: Watch): Promise<void> {
  const { engine, proxy } = town
  if (one.do === 'wake') watch.wake(one.group).catch(() => undefined)
  else if (one.do === 'sleep') watch.sleep(one.group, one.why).catch(() => undefined)
  else if (one.do === 'behave') Object.assign(engine.get(one.name).behaviour, one.as)
  else if (one.do === 'sessions') town.sessions.set(one.name, one.count)
  else if (one.do === 'apply') proxy.applyMs = one.ms
  else if (one.do === 'time') await watch.time(one.ms, one.ms > 5000 ? 500 : 50)
  else if (one.do === 'trouble') trouble(one.with, one.isOver, town)
  else engine[one.do](one.name)
  watch.look()
}

function trouble(kind: 'facts' | 'engine' | 'proxy', isOver: boolean, { engine, proxy }: Town): void {
  if (kind === 'facts') engine.isTelling = isOver
  if (kind === 'engine') engine.isUnreachable = !isOver
  if (kind === 'proxy') proxy.isBroken = !isOver
}

function heal(town: Town): void {
  for (const kind of ['facts', 'engine', 'proxy'] as const) trouble(kind, true, town)
  for (const container of CONTAINERS) {
    const { behaviour } = town.engine.get(container)
    const isJob = container === 'migrate'
    Object.assign(behaviour, { boots: 'well', startMs: 0, restarts: false, failStart: undefined, failStop: undefined })
    Object.assign(behaviour, { exitsAfterMs: isJob ? 100 : undefined, exitCode: 0 })
    // It would go on starting for ever.
    if (!town.engine.get(container).isListening) town.engine.crash(container)
  }
  town.proxy.applyMs = 0
  town.sessions.clear()
}

/** What the plan is made of is what there is: nothing is withheld, nothing waited for. */
function disguises(town: Town): string[] {
  return (town.world.instances() ?? []).flatMap(({ name: one, state, health }) => {
    const real = town.engine.get(one)
    return state === real.state && health === real.health
      ? []
      : [`${one} is ${real.state}, and shown as ${state} ${health}`]
  })
}

test('whatever happens in whatever order: no request meets what was told to stop, nothing is started twice, everything ends well', async () => {
  await fc.assert(
    fc.asyncProperty(many, fc.constantFrom(0, 30, 400), async (commands, applyMs) => {
      const town = await createTown({ build, drainMs: 3000, wakeTimeoutMs: 10_000 })
      const watch = watchOver(town)
      town.proxy.applyMs = applyMs
      try {
        for (const one of commands) await carryOut(one, town, watch)
        heal(town)
        await watch.time(90_000, 1000)
        // What was said to have failed may be tried again within five minutes.
        await watch.time(300_000, 10_000)
        expect(watch.open.size).toBe(0)
        for (const one of GROUPS)
          expect(['awake', 'asleep', 'waking', 'failed']).toContain(town.waker.state(one)?.phase)

        const wakes = Promise.all(GROUPS.map((one) => watch.wake(one)))
        wakes.catch(() => undefined)
        await watch.time(15_000, 50)
        await wakes
        expect(disguises(town)).toEqual([])
        expect(GROUPS.map((one) => town.waker.state(one)?.phase)).toEqual(GROUPS.map(() => 'awake'))

        await watch.time(12_000, 1000)
        for (const one of ['front', 'api', 'solo', 'data']) {
          const sleep = watch.sleep(one, 'idle')
          await watch.time(3000, 50)
          expect(await sleep).toBe('asleep')
        }
        expect(disguises(town)).toEqual([])
        expect(GROUPS.map((one) => town.waker.state(one)?.phase)).toEqual(GROUPS.map(() => 'asleep'))
        expect(watch.wrongs).toEqual([])
        expect(town.engine.needless).toEqual([])
      } finally {
        await town.close()
      }
    }),
    { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 40) },
  )
}, 240_000)
