import { isSpare } from './runtime/spares.js'
import type { Activity } from './runtime/state-dumps.js'

/** What a worker had counted when it was last asked. */
export interface WorkerCount {
  /** Monotonic milliseconds. */
  readonly at: number
  /** By HAProxy's own names. */
  readonly backends: ReadonlyMap<string, Activity>
}

/** The same with the names that its spares have in the plan. */
export interface NamedCount extends WorkerCount {
  readonly owners: ReadonlyMap<string, string>
}

/** What all workers that ever were have counted together, so that a reload is no gap. */
export interface Ledger {
  /** A worker is gone: its count stays. `isUnseen`: it may live on where nobody can look, with what it had open. */
  close(count: NamedCount, isUnseen: boolean): void
  /** Together with those that live, of these names; good until the next call. @param now in monotonic milliseconds */
  sum(living: readonly NamedCount[], names: ReadonlySet<string>, now: number): ReadonlyMap<string, Traffic>
  /** Forgets every other name. */
  keep(names: ReadonlySet<string>): void
}

export interface Traffic {
  total: number
  current: number
  /** Monotonic milliseconds; undefined when nothing ever came. */
  lastAt: number | undefined
}

/**
 * How long a session counts as open that was left in a worker out of sight. Its end cannot be seen, and for ever would be
 * too long.
 */
export const UNSEEN_MS = 24 * 3_600_000

export function createLedger(): Ledger {
  const closed = new Map<string, Traffic>()
  /** Kept from call to call: to make ten thousand of them anew takes longer than to add up. */
  const sums = new Map<string, Traffic & { round: number }>()
  let round = 0
  const unseen = new Map<string, { readonly until: number; readonly current: number }>()

  /** Sets a sum to what those have left that are gone. */
  function begin(name: string, now: number): Traffic & { round: number } {
    const sum = sums.get(name) ?? { round: 0, total: 0, current: 0, lastAt: undefined }
    const gone = closed.get(name)
    const left = unseen.size === 0 ? undefined : unseen.get(name)
    sums.set(name, sum)
    sum.round = round
    sum.total = gone?.total ?? 0
    sum.lastAt = gone?.lastAt
    sum.current = left && left.until > now ? left.current : 0
    return sum
  }

  return {
    close({ at, backends, owners }, isUnseen) {
      for (const [raw, activity] of backends) {
        const name = nameOf(raw, owners)
        if (name === undefined || (activity.total === 0 && activity.current === 0)) continue
        const sum = closed.get(name) ?? { total: 0, current: 0, lastAt: undefined }
        closed.set(name, sum)
        add(sum, activity, at)
        sum.current = 0
        if (isUnseen && activity.current > 0) unseen.set(name, { until: at + UNSEEN_MS, current: activity.current })
      }
    },
    sum(living, names, now) {
      round++
      for (const { at, backends, owners } of living) {
        for (const [raw, activity] of backends) {
          const name = nameOf(raw, owners)
          if (name === undefined || !names.has(name)) continue
          const sum = sums.get(name)
          add(sum?.round === round ? sum : begin(name, now), activity, at)
        }
      }
      for (const [name, sum] of sums) if (sum.round !== round) sums.delete(name)
      return sums
    },
    keep(names) {
      for (const map of [closed, unseen]) for (const name of map.keys()) if (!names.has(name)) map.delete(name)
    },
  }
}

const nameOf = (raw: string, owners: ReadonlyMap<string, string>): string | undefined =>
  isSpare(raw) ? owners.get(raw) : raw

function add(sum: Traffic, activity: Activity, at: number): void {
  sum.total += activity.total
  sum.current += activity.current
  const lastAt = lastOf(activity, at)
  if (lastAt !== undefined && (sum.lastAt === undefined || sum.lastAt < lastAt)) sum.lastAt = lastAt
}

/** HAProxy counts in whole seconds: of the moments that are possible, the latest. */
function lastOf({ current, lastSeconds }: Activity, at: number): number | undefined {
  if (current > 0) return at
  return lastSeconds < 0 ? undefined : at - Math.max(0, lastSeconds - 1) * 1000
}
