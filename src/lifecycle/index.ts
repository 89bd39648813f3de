import type { Settings } from '../config/schema.js'
import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import { inTime } from '../lib/signals.js'
import { createGrouper } from '../model/groups.js'
import type { WishReader } from '../model/reader.js'
import type { LabelRules } from '../model/wishes.js'
import type { FactGate, Reconciler } from '../reconcile/reconciler.js'
import type { Runtime } from '../runtimes/runtime.js'
import type { SessionCounter } from './bedtime.js'
import { createBreaker } from './breaker.js'
import type { BringUpInputs } from './bring-up.js'
import { createGate, type Gate } from './gate.js'
import { createGroupStates } from './group-states.js'
import { createGroupViews } from './group-views.js'
import { createLookout } from './lookout.js'
import { createObserver } from './observer.js'
import { type Probe, probe } from './probe.js'
import { createSleeps } from './sleeper.js'
import { createWakes } from './waker.js'
import type { LifecycleEvent, Sleeper, Waker, World } from './world.js'

/** Sleep and wake: what stands between facts and plan, and what starts and stops containers. */
export interface Lifecycle {
  readonly reconciler: Reconciler
  readonly world: World
  readonly waker: Waker
  readonly sleeper: Sleeper
  /** Ends probes, starts and stops; to be called before the reconciler ends. */
  stop(): Promise<void>
}

export interface LifecycleInputs {
  readonly settings: Pick<Settings, 'readiness' | 'wake' | 'sleep'>
  readonly rules: LabelRules
  /** The planner's own, so that labels are read once. */
  readonly read: WishReader
  /** Of each source whose containers can be started and stopped. */
  readonly runtimes: readonly Runtime[]
  readonly sessions: SessionCounter
  /** Makes the loop with this gate between facts and plan. */
  readonly reconcile: (gate: FactGate) => Reconciler
  /** For metrics. */
  readonly record?: (event: LifecycleEvent) => void
  readonly probe?: Probe
  readonly clock: Clock
  readonly log: Logger
}

export function createLifecycle(inputs: LifecycleInputs): Lifecycle {
  const { settings, rules, read, clock, log } = inputs
  const record = inputs.record ?? (() => undefined)
  const gate: Gate = createGate({
    ...{ read, rules, clock, log },
    readiness: settings.readiness,
    probe: inputs.probe ?? probe,
    changed: () => reconciler.reconsider(),
  })
  const reconciler = inputs.reconcile(gate)
  const world = createWorld(reconciler, read, inputs.runtimes)
  const lookout = createLookout({ world, clock })
  const views = createGroupViews(world)
  const breaker = createBreaker(clock)
  const told = (group: string) => {
    states.mark(group)
    lookout.stir()
  }
  const shared = { world, lookout, views, breaker, clock, log, told, record }
  const sleeps = createSleeps({
    ...shared,
    gate,
    inForce: reconciler.inForce,
    sessions: inputs.sessions,
    drainMs: settings.sleep.drain,
    removeVolumes: settings.sleep.removeVolumes,
    isBusy: (group) => wakes.isBusy(group),
  })
  const wakes = createWakes({
    ...shared,
    timeoutMs: settings.wake.timeout,
    interrupt: sleeps.interrupt,
    crashes: (key) => observer.crashes(key),
    woken: (group, wake) => states.woken(group, wake),
    withheld: createWithheld(gate, reconciler, clock),
  })
  const observer = createObserver({ ...shared, read, isOnTrip: wakes.isOnTrip, isWaking: wakes.isWaking })
  const states = createGroupStates({
    ...{ world, views, clock },
    crashing: observer.crashing,
    steps: wakes.steps,
    isWaking: wakes.isWaking,
    isFallingAsleep: sleeps.isFallingAsleep,
    failure: breaker.last,
  })
  // At once, for what follows close upon it may hide it: an app that obeys quickly is told to stop and has ended in one go.
  const unfollow = world.onChange(observer.look)
  lookout.first(states.tell)
  return {
    reconciler,
    world,
    waker: { wake: wakes.wake, state: states.state, follow: states.follow, stop: wakes.stop },
    sleeper: { sleep: sleeps.sleep, remove: sleeps.remove, stop: sleeps.stop },
    async stop() {
      unfollow()
      lookout.stop()
      states.stop()
      gate.stop()
      await Promise.all([wakes.stop(), sleeps.stop()])
    },
  }
}

function createWorld(reconciler: Reconciler, read: WishReader, runtimes: readonly Runtime[]): World {
  const group = createGrouper(read)
  const bySource = new Map(runtimes.map((runtime) => [runtime.source, runtime]))
  return {
    plan: reconciler.plan,
    instances: reconciler.instances,
    groups() {
      const instances = reconciler.instances()
      return instances && group(instances)
    },
    runtime: (source) => bySource.get(source),
    onChange: reconciler.onChange,
  }
}

/** What cannot serve is in no proxy's way long before this; a proxy that hangs must not keep it broken. */
const OUT_OF_THE_WAY_MS = 5000

function createWithheld(gate: Gate, { inForce }: Pick<Reconciler, 'inForce'>, clock: Clock): BringUpInputs['withheld'] {
  return async (key, work, signal) => {
    gate.withhold([key])
    try {
      await inTime({ ms: OUT_OF_THE_WAY_MS, clock }, signal, inForce)
      await work()
    } finally {
      gate.release([key])
    }
  }
}
