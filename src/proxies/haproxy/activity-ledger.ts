import type { Activity } from './runtime/state-dumps.js'

/** What a worker had counted when it was last asked, by the plan's names. */
export interface WorkerCount {
  /** Monotonic milliseconds. */
  readonly at: number
  readonly backends: ReadonlyMap<string, Activity>
}

/** What all workers that ever were have counted together, so that a reload is no gap. */
export interface Ledger {
  /** A worker is gone: its count stays. `unseen`: it may live on where nobody can look, with what it had open. */
  close(count: WorkerCount, unseen: boolean): void
  /** Together with those that live. @param at now, in monotonic milliseconds */
  sum(living: readonly WorkerCount[], at: number): Map<string, Traffic>
  /** Forgets every other name. */
  keep(names: ReadonlySet<string>): void
}

export interface Traffic {
  readonly total: number
  readonly current: number
  /** Monotonic milliseconds; undefined when nothing ever came. */
  readonly lastAt: number | undefined
}

/**
 * How long a session counts as open that was left in a worker out of sight. Its end cannot be seen, and for ever would be
 * too long.
 */
export const UNSEEN_MS = 24 * 3_600_000

export function createLedger(): Ledger {
  const closed = new Map<string, { total: number; lastAt: number | undefined }>()
  const unseen = new Map<string, { until: number; current: number }>()
  return {
    close({ at, backends }, isUnseen) {
      for (const [name, activity] of backends) {
        const before = closed.get(name)
        const lastAt = latest(before?.lastAt, lastOf(activity, at))
        if (activity.total > 0 || before) closed.set(name, { total: (before?.total ?? 0) + activity.total, lastAt })
        if (isUnseen && activity.current > 0) unseen.set(name, { until: at + UNSEEN_MS, current: activity.current })
      }
    },
    sum(living, now) {
      const sums = new Map<string, Traffic>()
      for (const { at, backends } of living) {
        for (const [name, activity] of backends) {
          const { total, current, lastAt } = sums.get(name) ?? before(name, now)
          sums.set(name, {
            total: total + activity.total,
            current: current + activity.current,
            lastAt: latest(lastAt, lastOf(activity, at)),
          })
        }
      }
      return sums
    },
    keep(names) {
      for (const map of [closed, unseen]) for (const name of map.keys()) if (!names.has(name)) map.delete(name)
    },
  }

  function before(name: string, now: number): Traffic {
    const { total = 0, lastAt = undefined } = closed.get(name) ?? {}
    const { until = now, current = 0 } = unseen.get(name) ?? {}
    return { total, lastAt, current: until > now ? current : 0 }
  }
}

/** HAProxy counts in whole seconds: of the moments that are possible, the latest. */
function lastOf({ current, lastSeconds }: Activity, at: number): number | undefined {
  if (current > 0) return at
  return lastSeconds < 0 ? undefined : at - Math.max(0, lastSeconds - 1) * 1000
}

const latest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.max(a, b)
