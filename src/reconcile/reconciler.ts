import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import type { Instance } from '../model/instance.js'
import type { Plan, Rejection } from '../model/plan.js'
import type { Source } from '../sources/source.js'
import type { FactCache } from './fact-cache.js'
import { Facts } from './facts.js'
import type { Lane } from './lane.js'
import type { SourceState } from './state.js'

/**
 * The loop: facts of every source → one plan → every proxy's lane. The first hint after quiet acts at once; hints that
 * arrive while a plan is being made become one next plan. A full pass comes every `pollIntervalMs`, whatever happens.
 */
export interface Reconciler {
  /** Runs until aborted. */
  run(signal: AbortSignal): Promise<void>
  /** Reads every source once and plans; for commands that do not stay. @throws when a source cannot be read. */
  planOnce(signal: AbortSignal): Promise<Plan>
  /** The newest plan; undefined while it is too early for one. */
  plan(): Plan | undefined
  /** What the newest plan is made of; undefined while it is too early for one. */
  instances(): readonly Instance[] | undefined
  /** What the sources say, before `gate`; undefined while it is too early. */
  facts(): UngatedFacts | undefined
  /** Something outside the sources changed what `gate` says: a new plan is made. */
  reconsider(): void
  /** Resolves when every proxy has taken a plan that was made after this call. @throws when the signal fires first */
  inForce(signal: AbortSignal): Promise<void>
  /** Calls back after everything that may lead to a new plan. @returns what ends it */
  onChange(listener: () => void): () => void
  sources(): SourceState[]
}

export interface UngatedFacts {
  readonly instances: readonly Instance[]
  /** Every source has told something, in this run or an earlier one. */
  readonly isWhole: boolean
  /** Keys of those whose traffic the gate takes away. */
  readonly draining: ReadonlySet<string>
}

export interface ReconcilerInputs {
  readonly sources: readonly Source[]
  readonly gate?: FactGate
  readonly makePlan: (instances: readonly Instance[]) => Plan
  readonly lanes: readonly Lane[]
  readonly cache: FactCache
  readonly pollIntervalMs: number
  readonly clock: Clock
  readonly log: Logger
}

/** Stands between facts and plan. */
export interface FactGate {
  /**
   * What the plan shall see of the facts; the same array for the same facts while nothing else changed.
   * @param sources those that have told something, in this run or an earlier one, if only that there is nothing
   */
  pass(instances: readonly Instance[], sources: readonly string[]): readonly Instance[]
  /** Keys of those that it has withheld, for their traffic is being taken away. */
  withheld?(): ReadonlySet<string>
  /**
   * Of facts that will be told otherwise within milliseconds: resolves when they need not be waited with any longer.
   * Undefined: at once.
   */
  settled?(): Promise<void> | undefined
}

export function createReconciler(inputs: ReconcilerInputs): Reconciler {
  const { sources, lanes, cache, clock, log } = inputs
  const facts = new Facts(sources.map(({ name }) => name))
  const announce = createAnnouncer(log)
  let plan: Plan | undefined
  let isOutdated = true
  const listeners = new Set<() => void>()
  let nudges = 0

  function gated(): readonly Instance[] | undefined {
    const all = facts.all()
    return all && inputs.gate ? inputs.gate.pass(all, facts.told()) : all
  }

  /** Made when somebody needs it, so that a burst of changes during a round costs one plan. */
  function newest(): Plan | undefined {
    const instances = isOutdated ? gated() : undefined
    if (instances === undefined) return plan
    isOutdated = false
    plan = inputs.makePlan(instances)
    announce(plan)
    return plan
  }

  function nudge(since?: number): void {
    nudges++
    for (const lane of lanes) lane.nudge(since)
  }

  /** Whatever else leads to a plan meanwhile takes along what is waited with. */
  async function nudgeOnce(settled: Promise<void>, since: number): Promise<void> {
    const before = nudges
    await settled
    if (nudges === before) nudge(since)
  }

  function replan(since: number, settled?: Promise<void>): void {
    isOutdated = true
    if (settled) void nudgeOnce(settled, since)
    else nudge(since)
    for (const listener of listeners) listener()
  }

  /** They are shown to the gate at once, for it may have to ask before it can say anything. */
  function replanFacts(since: number): void {
    gated()
    replan(since, inputs.gate?.settled?.())
  }

  function reported(source: string, instances: readonly Instance[]): void {
    const since = clock.elapsed()
    const wasDown = facts.states().find(({ name }) => name === source)?.error !== undefined
    if (wasDown) log.info({ source, instances: instances.length }, 'the source answers again')
    if (facts.report(source, instances, clock.now())) replanFacts(since)
  }

  async function failed(source: string, error: unknown): Promise<void> {
    const since = clock.elapsed()
    // Before the failure is noted, for from then on the other sources' facts are acted upon.
    if (facts.get(source) === undefined) await recall(source)
    if (facts.fail(source, error)) {
      // The last pass may have been a while ago.
      const last = facts.last(source)
      if (last) void cache.save(source, last.instances, last.at)
      const keeps = facts.get(source)?.length ?? 0
      log.error({ source, err: error, keeps }, 'the source cannot be read; its last good facts stay')
      replan(since)
    }
  }

  async function recall(source: string): Promise<void> {
    const cached = await cache.load(source)
    if (!cached || !facts.recall(source, cached.instances, cached.at)) return
    const from = new Date(cached.at).toISOString()
    log.warn({ source, instances: cached.instances.length, from }, 'facts of an earlier run are used')
  }

  async function pass(source: Source, signal: AbortSignal): Promise<void> {
    try {
      const instances = await source.list(signal)
      reported(source.name, instances)
      await cache.save(source.name, instances, clock.now())
    } catch (error) {
      if (!signal.aborted) await failed(source.name, error)
    }
    nudge()
  }

  /** Each source at its own pace, so that one that hangs holds up nobody else. */
  async function poll(source: Source, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(inputs.pollIntervalMs, signal).catch(() => undefined)
      if (!signal.aborted) await pass(source, signal)
    }
  }

  const follow = (source: Source, signal: AbortSignal) =>
    source.watch(
      {
        report: (instances) => reported(source.name, instances),
        failed: (error) => void failed(source.name, error),
      },
      signal,
    )

  return {
    async run(signal) {
      await Promise.all([
        ...sources.map((source) => follow(source, signal)),
        ...sources.map((source) => poll(source, signal)),
        ...lanes.map((lane) => lane.run(newest, signal)),
      ])
    },
    async planOnce(signal) {
      for (const source of sources) facts.report(source.name, await source.list(signal), clock.now())
      return newest() ?? inputs.makePlan([])
    },
    plan: newest,
    instances: gated,
    facts() {
      const instances = facts.all()
      const draining = new Set(inputs.gate?.withheld?.())
      return instances && { instances, isWhole: facts.told().length === sources.length, draining }
    },
    reconsider: () => replan(clock.elapsed()),
    async inForce(signal) {
      await Promise.all(lanes.map((lane) => lane.inForce(signal)))
    },
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    sources: () => facts.states(),
  }
}

/** Says each rejection once when it appears, and once when it is gone. */
function createAnnouncer(log: Logger): (plan: Plan) => void {
  let known = new Map<string, Rejection>()
  return ({ rejections, warnings }) => {
    const current = new Map([...rejections, ...warnings].map((rejection) => [identity(rejection), rejection]))
    const refused = new Set(rejections)
    for (const [key, rejection] of current) {
      if (!known.has(key))
        log.warn(rejection, refused.has(rejection) ? 'a label is refused' : 'a label needs attention')
    }
    for (const [key, { container, label }] of known) {
      if (!current.has(key)) log.info({ container, label }, 'a complaint about a label is settled')
    }
    known = current
  }
}

const identity = ({ source, container, label, value, reason }: Rejection): string =>
  [source, container, label, value, reason].join('\n')
