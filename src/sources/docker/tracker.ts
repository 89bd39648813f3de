import type { Logger } from 'pino'
import type { Clock } from '../../lib/clock.js'
import type { Instance } from '../../model/instance.js'
import { type Census, takeCensus } from './census.js'
import type { EngineClient } from './client.js'
import { type Container, died, joinedContainer } from './container.js'
import { withDeadline } from './deadline.js'
import type { EngineEvent } from './events.js'
import { createInspections } from './inspections.js'
import { createLedger } from './ledger.js'
import { isStopping, type KillMark, signalNumber } from './stopping.js'
import { createVantage, toInstance, type VantageRules } from './vantage.js'

/**
 * What is known of one engine's containers, kept by full passes (`list`) and by events.
 *
 * INVARIANTS
 * - A list answer says nothing about a container that was inspected, or had an event, while the list was under way:
 *   the engine may have written that line before. (It also lists a container as running for a while after `die`.)
 * - Of two list answers the one that was asked for later wins, in whichever order they arrive.
 * - At most one inspect per container is under way; events meanwhile lead to exactly one more.
 */
export interface Tracker {
  list(signal: AbortSignal): Promise<readonly Instance[]>
  /** At most one inspect, which ends with `signal`; calls `changed` when something is different. */
  handle(event: EngineEvent, changed: () => void, signal: AbortSignal): void
  /** Everything now known. */
  snapshot(): readonly Instance[]
  /** Resolves when no inspect that an event asked for is under way. */
  settled(): Promise<void>
}

export interface TrackerDeps {
  readonly source: string
  readonly client: EngineClient
  readonly isRelevant: (labels: Readonly<Record<string, string>>) => boolean
  /** Whether that container is the proxy's. */
  readonly isProxy: (container: Container) => boolean
  readonly rules: Omit<VantageRules, 'rootless'>
  readonly clock: Clock
  readonly log: Logger
}

/** How long a full pass waits for inspects that were under way, so that it tells what they found. */
const SETTLE_MS = 2000

export function createTracker(deps: TrackerDeps): Tracker {
  const { source, client, clock } = deps
  const ledger = createLedger()
  const marks = new Map<string, KillMark>()
  /** Containers whose network one of ours uses, by the id or name that it uses them by. */
  const neighbours = new Map<string, Container>()
  const passes = new Set<Set<string>>()
  let [startedPasses, newestPass] = [0, 0]
  let proxy: Container | undefined
  let rootless: boolean | undefined
  let vantage = createVantage({ ...deps.rules, rootless: false }, undefined)
  const inspections = createInspections({ client, found: accept, gone: forget, log: deps.log })

  function put(container: Container): void {
    const stopping = isStopping(container, marks.get(container.id), clock.elapsed())
    if (!stopping && container.state !== 'running') marks.delete(container.id)
    const joined = neighbours.get(joinedContainer(container) ?? '')
    ledger.put(container, toInstance(container, { source, vantage, joined, stopping }))
  }

  function forget(id: string): void {
    ledger.remove(id)
    marks.delete(id)
  }

  function putAgain(concerns: (container: Container) => boolean): void {
    for (const container of [...ledger.containers()]) if (concerns(container)) put(container)
  }

  /** Looks from where the proxy is now. */
  function look(): void {
    vantage = createVantage({ ...deps.rules, rootless: rootless === true }, networkOwner(proxy))
  }

  function networkOwner(container: Container | undefined): Container | undefined {
    const reference = container && joinedContainer(container)
    return reference === undefined ? container : neighbours.get(reference)
  }

  /** Takes what an inspect found. */
  async function accept(container: Container, signal: AbortSignal): Promise<void> {
    if (proxy?.id === container.id) {
      proxy = container
      look()
      putAgain(() => true)
    }
    for (const [reference, neighbour] of neighbours) {
      if (neighbour.id !== container.id) continue
      neighbours.set(reference, container)
      putAgain((other) => joinedContainer(other) === reference)
    }
    if (!deps.isRelevant(container.labels)) return
    await meet(joinedContainer(container), signal)
    put(container)
  }

  async function meet(reference: string | undefined, signal: AbortSignal): Promise<void> {
    if (reference === undefined || neighbours.has(reference)) return
    const neighbour = await inspections.once(reference, signal)
    if (neighbour) neighbours.set(reference, neighbour)
  }

  function apply(census: Census, touched: ReadonlySet<string>): void {
    proxy = census.find(deps.isProxy)
    const present = new Set(census.ours.map(({ id }) => id))
    const references = [proxy, ...census.ours, ...ledger.containers()].map((one) => one && joinedContainer(one))
    neighbours.clear()
    for (const reference of new Set(references)) {
      const neighbour = reference && census.find(({ id, name }) => id === reference || name === reference)
      if (reference && neighbour) neighbours.set(reference, neighbour)
    }
    look()
    for (const { id } of [...ledger.containers()]) if (!present.has(id) && !touched.has(id)) forget(id)
    for (const container of census.ours) if (!touched.has(container.id)) put(container)
    putAgain(({ id }) => touched.has(id))
  }

  async function list(signal: AbortSignal): Promise<readonly Instance[]> {
    signal.throwIfAborted()
    const number = ++startedPasses
    const touched = new Set(inspections.ids())
    passes.add(touched)
    try {
      if (rootless === undefined && needsRootless(deps.rules)) rootless = await client.isRootless(signal)
      const census = await takeCensus({ ...deps, known: ledger.container }, signal)
      if (number > newestPass) {
        newestPass = number
        apply(census, touched)
      }
    } finally {
      passes.delete(touched)
    }
    await withDeadline({ timeoutMs: SETTLE_MS, what: 'settling' }, signal, inspections.settled).catch(() => undefined)
    signal.throwIfAborted()
    return ledger.snapshot()
  }

  function inspect(id: string, changed: () => void, signal: AbortSignal): void {
    for (const touched of passes) touched.add(id)
    inspections.ask(id, changed, signal)
  }

  function handle({ action, id, attributes }: EngineEvent, changed: () => void, signal: AbortSignal): void {
    const concerns = ledger.container(id) || isNeighbour(id) || inspections.has(id) || deps.isRelevant(attributes)
    if (!concerns) return
    if (action === 'destroy') remove(id)
    else if (action === 'kill') killed(id, attributes['signal'] ?? '', changed, signal)
    else {
      if (action === 'start' || action === 'die') marks.delete(id)
      const known = ledger.container(id)
      if (action === 'die' && known) put(died(known))
      inspect(id, changed, signal)
    }
    changed()
  }

  const isNeighbour = (id: string): boolean =>
    proxy?.id === id || [...neighbours.values()].some((neighbour) => neighbour.id === id)

  function remove(id: string): void {
    for (const touched of passes) touched.add(id)
    inspections.cancel(id)
    forget(id)
  }

  function killed(id: string, signalText: string, changed: () => void, signal: AbortSignal): void {
    const number = signalNumber(signalText)
    const known = ledger.container(id)
    if (number === undefined || !known) return
    const now = clock.elapsed()
    if (!isStopping(known, marks.get(id), now)) marks.set(id, { signal: number, at: now })
    put(known)
    if (!known.stop) inspect(id, changed, signal)
  }

  return { list, handle, snapshot: ledger.snapshot, settled: inspections.settled }
}

const needsRootless = ({ reach, remoteHost }: TrackerDeps['rules']): boolean =>
  reach === 'auto' && remoteHost === undefined
