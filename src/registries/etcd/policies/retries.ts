import { createAlarm } from '../../../lib/alarm.js'
import { type Backoff, createBackoff } from '../../../lib/backoff.js'
import type { Clock } from '../../../lib/clock.js'

/** What has not succeeded, and when it is tried again: everything in a rhythm of its own, which slows down. */
export interface Retries {
  failed(what: string): void
  /** Others were in its way: again at once. */
  postponed(what: string): void
  /** There is nothing to try again. */
  settled(what: string): void
  isDue(what: string): boolean
  /** Calls `due` whenever something has become so, until aborted. */
  run(due: () => void, signal: AbortSignal): Promise<void>
}

export interface RetriesOptions {
  readonly clock: Clock
  readonly firstMs?: number
  readonly maxMs?: number
}

interface Wait {
  readonly backoff: Backoff
  dueAt: number
  /** `due` was called for it. */
  isCalled: boolean
}

export function createRetries({ clock, firstMs = 1000, maxMs = 300_000 }: RetriesOptions): Retries {
  const waits = new Map<string, Wait>()
  const alarm = createAlarm(clock)

  function again(what: string, delayMs: (backoff: Backoff) => number): void {
    const backoff = waits.get(what)?.backoff ?? createBackoff({ firstMs, maxMs })
    waits.set(what, { backoff, dueAt: clock.elapsed() + delayMs(backoff), isCalled: false })
    alarm.ring()
  }

  /** Until the next one is due that nobody was called for; undefined: there is none. */
  function nextMs(): number | undefined {
    const open = [...waits.values()].filter(({ isCalled }) => !isCalled)
    if (open.length === 0) return undefined
    const dueAt = open.reduce((first, wait) => Math.min(first, wait.dueAt), Number.POSITIVE_INFINITY)
    return Math.max(0, dueAt - clock.elapsed())
  }

  const isOver = ({ dueAt }: Wait) => dueAt <= clock.elapsed()

  return {
    failed: (what) => again(what, (backoff) => backoff.next()),
    postponed: (what) => again(what, () => 0),
    settled: (what) => void waits.delete(what),
    isDue(what) {
      const wait = waits.get(what)
      return wait !== undefined && isOver(wait)
    },
    async run(due, signal) {
      while (!signal.aborted) {
        if (nextMs() === 0) {
          for (const wait of waits.values()) wait.isCalled ||= isOver(wait)
          due()
        }
        await alarm.wait(nextMs(), signal)
      }
    },
  }
}
