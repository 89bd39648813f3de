import { compareText } from '../../lib/compare.js'
import type { Instance } from '../../model/instance.js'

/**
 * After an outage a server may have lost its state, and then knows of nothing until every agent has told it again. What was there
 * before is therefore kept until it is seen again, for at most the lease; what was seen again and goes then, has gone.
 */
export interface Holding {
  /** The server could not be reached, or has begun anew. */
  doubt(): void
  /** What there is, given what the server says there is. Both are sorted by id. */
  believe(told: readonly Instance[]): readonly Instance[]
  /** For how long something is still kept that the server does not tell; undefined: nothing is. */
  leftMs(): number | undefined
}

export function createHolding({ leaseMs, elapsed }: { leaseMs: number; elapsed: () => number }): Holding {
  let believed: readonly Instance[] = []
  let awaited = new Map<string, Instance>()
  let isInDoubt = false
  let untilMs = 0

  return {
    doubt() {
      isInDoubt = true
    },
    believe(told) {
      if (isInDoubt) {
        awaited = new Map(believed.map((instance) => [instance.id, instance]))
        untilMs = elapsed() + leaseMs
        isInDoubt = false
      }
      for (const { id } of told) awaited.delete(id)
      if (elapsed() >= untilMs) awaited.clear()
      believed = awaited.size === 0 ? told : [...told, ...awaited.values()].sort((a, b) => compareText(a.id, b.id))
      return believed
    },
    leftMs: () => (awaited.size === 0 ? undefined : Math.max(0, untilMs - elapsed())),
  }
}
