import type { Clock } from '../lib/clock.js'
import type { WakeFailure } from './world.js'

/** Keeps what fails from being started in a tight loop: after each failure in a row twice as long, from 1 s to 5 min. */
export interface Breaker {
  fail(group: string, failure: Omit<WakeFailure, 'retryAt'>): void
  /** What keeps the group from being started now. */
  open(group: string): WakeFailure | undefined
  /** The last failure, though it may be tried again by now. */
  last(group: string): WakeFailure | undefined
  /** It is not shown any more, but the next one counts on. */
  calm(group: string): void
  reset(group: string): void
  /** There is nothing to reset. */
  isClear(): boolean
  /** Forgets the groups that are gone. */
  prune(exists: (group: string) => boolean): void
}

interface Row {
  readonly failures: number
  readonly failure?: WakeFailure
  /** On the monotonic clock, for the other one may be set. */
  readonly openUntil: number
}

const FIRST_MS = 1000
const LONGEST_MS = 300_000

export function createBreaker(clock: Clock): Breaker {
  const rows = new Map<string, Row>()
  return {
    fail(group, failure) {
      const failures = (rows.get(group)?.failures ?? 0) + 1
      const delayMs = Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS)
      const retryAt = clock.now() + delayMs
      rows.set(group, { failures, failure: { ...failure, retryAt }, openUntil: clock.elapsed() + delayMs })
    },
    open(group) {
      const row = rows.get(group)
      return row && row.openUntil > clock.elapsed() ? row.failure : undefined
    },
    last: (group) => rows.get(group)?.failure,
    calm(group) {
      const row = rows.get(group)
      if (row) rows.set(group, { failures: row.failures, openUntil: 0 })
    },
    reset: (group) => void rows.delete(group),
    isClear: () => rows.size === 0,
    prune(exists) {
      for (const group of [...rows.keys()]) if (!exists(group)) rows.delete(group)
    },
  }
}
