import type { Clock } from '../lib/clock.js'

/** Slows down who guesses: after a few failures each further one doubles the wait, for one caller and user. */
export interface Throttle {
  /** How long this caller has to wait yet, in milliseconds; 0: go on. */
  waitMs(key: string): number
  failed(key: string): void
  succeeded(key: string): void
}

const FREE_FAILURES = 3
const FIRST_WAIT_MS = 1000
const LONGEST_WAIT_MS = 60_000
/** Forgotten after this long without a failure. */
const MEMORY_MS = 900_000
const MAX_KEYS = 10_000

export function createThrottle(clock: Clock): Throttle {
  const known = new Map<string, { failures: number; at: number; until: number }>()
  return {
    waitMs: (key) => Math.max(0, (known.get(key)?.until ?? 0) - clock.elapsed()),
    failed(key) {
      const now = clock.elapsed()
      for (const [other, { at }] of known) if (at + MEMORY_MS < now || known.size > MAX_KEYS) known.delete(other)
      const failures = (known.get(key)?.failures ?? 0) + 1
      const waitMs =
        failures < FREE_FAILURES ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (failures - FREE_FAILURES), LONGEST_WAIT_MS)
      // Set anew, so that the oldest come first.
      known.delete(key)
      known.set(key, { failures, at: now, until: now + waitMs })
    },
    succeeded: (key) => void known.delete(key),
  }
}
