import type { Clock } from '../lib/clock.js'
import { codeOf, HostlerError } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import type { Group } from '../model/groups.js'
import { printable } from '../model/label-values.js'
import { Awakening, type AwakeningInputs, type Trip } from './awakening.js'
import type { Breaker } from './breaker.js'
import { type GroupViews, whatItNeeds } from './group-views.js'
import type { Lookout } from './lookout.js'
import { StartFailure } from './start-failure.js'
import { createStopAgain } from './stop-again.js'
import type { LifecycleEvent, WakeFailure, WakeStep, World } from './world.js'

/** Wakes groups: each once at a time, however many ask. */
export interface Wakes {
  /** As `Waker.wake`. */
  wake(group: string): Promise<void>
  /** A start of it is under way. */
  isWaking(group: string): boolean
  /** That, or a container of it is still on its way up. */
  isBusy(group: string): boolean
  /** We are bringing this container up. */
  isOnTrip(key: string): boolean
  /** Of the start under way, or of the last one. */
  steps(group: string): readonly WakeStep[]
  /** Ends every start; whoever waits gets an error. */
  stop(): Promise<void>
}

type Given = 'trips' | 'awakeningOf' | 'alsoWake' | 'told' | 'stopAgain' | 'stoppedAgain'

export interface WakesInputs extends Omit<AwakeningInputs, Given> {
  readonly world: World
  readonly views: GroupViews
  readonly lookout: Lookout
  readonly breaker: Breaker
  /** Something changed about the group that the world does not tell of. */
  readonly told: (group: string) => void
  readonly record: (event: LifecycleEvent) => void
  /** A start ended well. */
  readonly woken: (group: string, wake: { readonly at: number; readonly ms: number }) => void
  readonly clock: Clock
  readonly log: Logger
}

export function createWakes(inputs: WakesInputs): Wakes {
  const { world, views, breaker, clock, log, told } = inputs
  const awakenings = new Map<string, Awakening>()
  const running = new Set<Promise<void>>()
  /** Under way, or the last one that was. */
  const newest = new Map<string, Awakening>()
  const trips = new Map<string, Trip>()
  const inVain = createStopAgain(inputs)
  let isStopped = false

  const groupOf = (key: string) => world.groups()?.nameOf.get(key)

  function begin(name: string): Awakening {
    const began = clock.elapsed()
    const awakening: Awakening = new Awakening(name, {
      ...inputs,
      trips,
      awakeningOf: (key) => awakenings.get(groupOf(key) ?? ''),
      alsoWake: (other) => awakenings.get(other) ?? (isWanting(other) ? begin(other) : undefined),
      told: () => told(name),
      stopAgain: inVain.stop,
      stoppedAgain: inVain.stopped,
    })
    awakenings.set(name, awakening)
    newest.set(name, awakening)
    told(name)
    awakening.ready.then(
      () => succeeded(awakening, began),
      (error) => failed(awakening, began, error),
    )
    const run = awakening.run().finally(() => running.delete(run))
    running.add(run)
    return awakening
  }

  /** Something of a group that others need is not as they need it. */
  const isWanting = (name: string): boolean =>
    !isStopped && world.groups()?.byName.has(name) === true && !views.isReady(name)

  function ended(awakening: Awakening): void {
    awakenings.delete(awakening.group)
    const exists = (name: string) => world.groups()?.byName.has(name) !== false
    for (const name of [...newest.keys()]) if (!exists(name)) newest.delete(name)
    breaker.prune(exists)
  }

  function succeeded(awakening: Awakening, began: number): void {
    const { group, hasStarted } = awakening
    ended(awakening)
    const ms = clock.elapsed() - began
    // Ready and ended again within seconds, and so on for ever: that is no success.
    if (!isCrashing(group)) breaker.reset(group)
    if (hasStarted) {
      log.info({ group, ms: Math.round(ms) }, 'a group is awake')
      inputs.woken(group, { at: clock.now(), ms })
      inputs.record({ what: 'woken', group, ms })
    }
    told(group)
  }

  const isCrashing = (name: string): boolean =>
    world
      .groups()
      ?.byName.get(name)
      ?.members.some(({ key }) => inputs.crashes(key) > 0) === true

  function failed(awakening: Awakening, began: number, error: unknown): void {
    const { group } = awakening
    ended(awakening)
    const [ms, code] = [clock.elapsed() - began, codeOf(error) ?? 'UNKNOWN']
    if (code !== 'STOPPING' && code !== 'NO_SUCH_GROUP') {
      log.error({ group, ms: Math.round(ms), err: error }, 'a group could not be woken')
      breaker.fail(group, failureOf(group, error))
      inputs.record({ what: 'wake-failed', group, code, ms })
    }
    told(group)
  }

  /** What keeps a group from being started now: its own failure, or that of one that it needs. */
  function obstacle(name: string): WakeFailure | undefined {
    const groups = world.groups()?.byName ?? new Map<string, Group>()
    const own = breaker.open(name)
    if (own) return own
    for (const other of whatItNeeds(groups, name)) {
      const failure = views.isReady(other) ? undefined : breaker.open(other)
      if (failure) return failure
    }
    return undefined
  }

  return {
    async wake(name) {
      if (isStopped) throw stopping()
      if (!world.groups()?.byName.has(name)) throw noSuchGroup(name)
      if (views.isReady(name)) return
      const current = awakenings.get(name)
      if (current) return current.ready
      const failure = obstacle(name)
      if (failure) throw new HostlerError('WAKE_FAILED', `${failure.service}: ${failure.reason}`)
      await begin(name).ready
    },
    isWaking: (name) => awakenings.has(name),
    isBusy: (name) => awakenings.has(name) || [...trips.keys()].some((key) => groupOf(key) === name),
    isOnTrip: (key) => trips.has(key),
    steps: (name) => newest.get(name)?.steps() ?? NO_STEPS,
    async stop() {
      isStopped = true
      for (const awakening of awakenings.values()) awakening.end(stopping())
      await Promise.allSettled([...running, inVain.end()])
    },
  }
}

const NO_STEPS: readonly WakeStep[] = []

function failureOf(group: string, error: unknown): Omit<WakeFailure, 'retryAt'> {
  if (error instanceof StartFailure) return { service: error.service, reason: error.reason }
  const isKnown = codeOf(error) === 'WAKE_TIMEOUT' && error instanceof Error
  return {
    service: printable(group),
    reason: isKnown ? 'it was not ready in time' : 'it could not be started; the log says why',
  }
}

const noSuchGroup = (name: string) =>
  new HostlerError('NO_SUCH_GROUP', `nothing is called ${printable(name)}, or it is not known yet`)

const stopping = () => new HostlerError('STOPPING', 'Hostler is being stopped')
