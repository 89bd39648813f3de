import { compareText } from '../../lib/compare.js'
import type { Instance } from '../../model/instance.js'

/**
 * After an outage a server may have lost its state, and then knows of nothing until every agent has told it again. What was there
 * before is therefore kept until it is seen again, for at most the lease, or as long as agents may take where the server has
 * begun to count anew. What was seen again and goes then, has gone.
 */
export interface Holding {
  /** The server could not be reached, or has begun anew. */
  doubt(): void
  /**
   * What there is, given what the server says there is. Both are sorted by id.
   * @param newest the highest index of anything there
   */
  believe(told: readonly Instance[], newest: number): readonly Instance[]
  /** For how long something is still kept that the server does not tell; undefined: nothing is. */
  leftMs(): number | undefined
}

/** Agents compare what they know with what the servers do once a minute, and not all at once. */
const RETELLING_MS = 90_000

export interface HoldingInputs {
  readonly leaseMs: number
  readonly retellingMs?: number | undefined
  readonly elapsed: () => number
}

export function createHolding({ leaseMs, retellingMs = RETELLING_MS, elapsed }: HoldingInputs): Holding {
  let believed: readonly Instance[] = []
  let awaited = new Map<string, Instance>()
  let isInDoubt = false
  let untilMs = 0
  let newestSeen = 0

  return {
    doubt() {
      isInDoubt = true
    },
    believe(told, newest) {
      if (isInDoubt) {
        awaited = new Map(believed.map((instance) => [instance.id, instance]))
        untilMs = elapsed() + (newest < newestSeen ? Math.max(leaseMs, retellingMs) : leaseMs)
        isInDoubt = false
      }
      newestSeen = newest
      for (const { id } of told) awaited.delete(id)
      if (elapsed() >= untilMs) awaited.clear()
      believed = awaited.size === 0 ? told : [...told, ...awaited.values()].sort((a, b) => compareText(a.id, b.id))
      return believed
    },
    leftMs: () => (awaited.size === 0 ? undefined : Math.max(0, untilMs - elapsed())),
  }
}
