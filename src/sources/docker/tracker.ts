import type { Logger } from 'pino'
import type { Clock } from '../../lib/clock.js'
import type { EngineEvent } from '../../lib/docker/events.js'
import { withDeadline } from '../../lib/signals.js'
import type { Instance } from '../../model/instance.js'
import { type Census, takeCensus } from './census.js'
import type { EngineClient } from './client.js'
import { type Container, died, joinedContainer } from './container.js'
import { createInspections } from './inspections.js'
import { createLedger } from './ledger.js'
import { createNeighbourhood, type Neighbourhood, type NeighbourhoodRules } from './neighbourhood.js'
import { isStopping, type KillMark, signalNumber } from './stopping.js'
import { toInstance } from './vantage.js'

export interface TrackerDeps {
  readonly source: string
  readonly client: EngineClient
  readonly isRelevant: (labels: Readonly<Record<string, string>>) => boolean
  readonly rules: NeighbourhoodRules
  /** Each container's whole inspect answer goes along with its facts. */
  readonly keepsInspect: boolean
  readonly clock: Clock
  readonly log: Logger
}

/** How long a full pass waits for inspects that were under way, so that it tells what they found. */
const SETTLE_MS = 2000

/**
 * What is known of one engine's containers, kept by full passes (`list`) and by events (`handle`).
 *
 * INVARIANTS
 * - A list answer says nothing about a container that was being inspected or had an event while the list was under way:
 *   the engine may have written that line before. (Docker also lists a container as running for a while after `die`.)
 * - Of two list answers the one that was asked for later wins, in whichever order they arrive.
 * - At most one inspect per container is under way; events meanwhile lead to exactly one more.
 */
export class Tracker {
  readonly #deps: TrackerDeps
  readonly #ledger = createLedger()
  readonly #neighbourhood: Neighbourhood
  readonly #inspections: ReturnType<typeof createInspections>
  readonly #marks = new Map<string, KillMark>()
  /** Of each list that is under way: the containers that it says nothing about. */
  readonly #passes = new Set<Set<string>>()
  #startedPasses = 0
  #newestPass = 0
  #rootless: boolean | undefined

  constructor(deps: TrackerDeps) {
    this.#deps = deps
    this.#neighbourhood = createNeighbourhood(deps.rules)
    if (deps.rules.reach !== 'auto' || deps.rules.remoteHost !== undefined) this.#rootless = false
    this.#inspections = createInspections({
      ...{ client: deps.client, keepsInspect: deps.keepsInspect, log: deps.log },
      found: (container, isCurrent, signal) => this.#found(container, isCurrent, signal),
      gone: (id) => this.#forget(id),
    })
  }

  /** Everything now known, sorted by id; the same array while nothing changed. */
  snapshot(): readonly Instance[] {
    return this.#ledger.snapshot()
  }

  /** Resolves when no inspect that an event asked for is under way. */
  settled(): Promise<void> {
    return this.#inspections.settled()
  }

  /** A full pass. @throws HostlerError when the whole truth cannot be had */
  async list(signal: AbortSignal): Promise<readonly Instance[]> {
    signal.throwIfAborted()
    const number = ++this.#startedPasses
    const touched = new Set(this.#inspections.ids())
    this.#passes.add(touched)
    try {
      this.#rootless ??= await this.#deps.client.isRootless(signal)
      const census = await takeCensus({ ...this.#deps, known: this.#ledger.container }, signal)
      // An engine that lists but does not tell is not asked again.
      this.#rootless ??= false
      if (number > this.#newestPass) {
        this.#newestPass = number
        this.#take(census, touched)
      }
    } finally {
      this.#passes.delete(touched)
    }
    const settling = { timeoutMs: SETTLE_MS, what: 'settling' }
    await withDeadline(settling, signal, () => this.settled()).catch(() => undefined)
    signal.throwIfAborted()
    return this.snapshot()
  }

  /** At most one inspect, which ends with `signal`; calls `changed` when something may be different. */
  handle(event: EngineEvent, changed: () => void, signal: AbortSignal): void {
    const { action, id, attributes } = event
    if (!this.#concerns(event)) return
    if (action === 'destroy') this.#destroyed(id)
    else if (action === 'kill') this.#killed(id, attributes['signal'] ?? '', () => this.#inspect(id, changed, signal))
    else {
      if (action === 'start' || action === 'die') this.#marks.delete(id)
      const known = this.#ledger.container(id)
      // Docker answers no inspect until it has taken the network apart; traffic must not wait for that.
      if (action === 'die' && known) this.#put(died(known))
      this.#inspect(id, changed, signal)
    }
    changed()
  }

  /** An event's attributes hold the container's labels. */
  #concerns({ id, attributes }: EngineEvent): boolean {
    if (this.#ledger.container(id) || this.#inspections.has(id) || this.#neighbourhood.includes(id)) return true
    return this.#deps.isRelevant(attributes)
  }

  #inspect(id: string, changed: () => void, signal: AbortSignal): void {
    for (const touched of this.#passes) touched.add(id)
    this.#inspections.ask(id, changed, signal)
  }

  #destroyed(id: string): void {
    for (const touched of this.#passes) touched.add(id)
    this.#inspections.cancel(id)
    this.#forget(id)
  }

  #killed(id: string, signalText: string, inspect: () => void): void {
    const number = signalNumber(signalText)
    const known = this.#ledger.container(id)
    if (number === undefined || !known) return
    const now = this.#deps.clock.elapsed()
    if (!isStopping(known, this.#marks.get(id), now)) this.#marks.set(id, { signal: number, at: now })
    this.#put(known)
    // Only inspecting tells its stop signal and how long it may take.
    if (!known.stop) inspect()
  }

  async #found(container: Container, isCurrent: () => boolean, signal: AbortSignal): Promise<void> {
    const looksDifferent = this.#neighbourhood.update(container)
    if (looksDifferent) this.#putAgain(looksDifferent)
    if (!this.#deps.isRelevant(container.labels)) return
    const reference = joinedContainer(container)
    if (reference !== undefined && !this.#neighbourhood.has(reference)) {
      const owner = await this.#inspections.once(reference, signal)
      if (owner) this.#neighbourhood.add(reference, owner)
    }
    if (isCurrent()) this.#put(container)
  }

  #take(census: Census, touched: ReadonlySet<string>): void {
    const present = new Set(census.ours.map(({ id }) => id))
    for (const { id } of [...this.#ledger.containers()]) {
      if (!present.has(id) && !touched.has(id)) this.#forget(id)
    }
    const { vantage } = this.#neighbourhood
    this.#neighbourhood.survey(census, [...census.ours, ...this.#ledger.containers()], this.#rootless === true)
    const moved = this.#neighbourhood.vantage !== vantage
    for (const container of census.ours) {
      if (!touched.has(container.id) && (moved || this.#mayDiffer(container))) this.#put(container)
    }
    this.#putAgain(({ id }) => touched.has(id))
  }

  /** The same object is the same fact, unless time or another container has a say in it. */
  #mayDiffer(container: Container): boolean {
    const { id } = container
    return this.#ledger.container(id) !== container || this.#marks.has(id) || joinedContainer(container) !== undefined
  }

  #putAgain(concerns: (container: Container) => boolean): void {
    for (const container of [...this.#ledger.containers()]) if (concerns(container)) this.#put(container)
  }

  #put(container: Container): void {
    const { source, clock } = this.#deps
    const stopping = isStopping(container, this.#marks.get(container.id), clock.elapsed())
    if (!stopping && (container.state !== 'running' || container.stop)) this.#marks.delete(container.id)
    const { vantage } = this.#neighbourhood
    const joined = this.#neighbourhood.ownerOf(container)
    this.#ledger.put(container, toInstance(container, { source, vantage, joined, stopping }))
  }

  #forget(id: string): void {
    this.#ledger.remove(id)
    this.#marks.delete(id)
  }
}
