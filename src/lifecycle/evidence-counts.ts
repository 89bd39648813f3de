import type { Plan } from '../model/plan.js'
import type { BackendActivity } from '../proxies/proxy.js'

/**
 * What one proxy has counted of one group: all of its backends together, now and when it was asked before. Kept and changed
 * in place from look to look, since making ten thousand of them anew takes longer than everything else.
 */
export interface Count {
  readonly group: string
  readonly backends: readonly string[]
  /** How many of these were told of. */
  told: number
  total: number
  counting: string
  /** Requests and connections that are open. */
  open: number
  /** Since the last request, as the proxy itself tells. */
  quietMs: number | undefined
  /** Nothing came, or it is told when. */
  isDated: boolean
  /** It is not told of all what is open. */
  isUntold: boolean
  /** Undefined: it was not told of yet. */
  before: { total: number; counting: string } | undefined
}

export interface Counts {
  readonly all: readonly Count[]
  readonly ofBackend: ReadonlyMap<string, Count>
}

/** @returns the counts of a plan's groups, ready to be added up */
export function createCounts(): (plan: Plan) => Counts {
  let last: { readonly plan: Plan; readonly counts: Counts } | undefined
  return (plan) => {
    if (last?.plan !== plan) last = { plan, counts: makeCounts(plan, last?.counts.all ?? []) }
    for (const count of last.counts.all) startAnew(count)
    return last.counts
  }
}

function makeCounts({ backends }: Plan, last: readonly Count[]): Counts {
  const known = new Map(last.map((count) => [count.group, count]))
  const byGroup = new Map<string, string[]>()
  for (const { name, group } of backends) {
    const same = byGroup.get(group)
    if (same) same.push(name)
    else byGroup.set(group, [name])
  }
  const ofBackend = new Map<string, Count>()
  const all: Count[] = []
  for (const [group, names] of byGroup) {
    const count = nothing(group, names, beforeOf(known.get(group)))
    all.push(count)
    for (const name of names) ofBackend.set(name, count)
  }
  return { all, ofBackend }
}

/** Written out: objects that are put together from others are slow to change. */
const nothing = (group: string, backends: readonly string[], before: Count['before']): Count => ({
  group,
  backends,
  told: 0,
  total: 0,
  counting: '',
  open: 0,
  quietMs: undefined,
  isDated: true,
  isUntold: false,
  before,
})

/** What was told last is what comes before what is told next; what was not told keeps what came before. */
const beforeOf = (count: Count | undefined): Count['before'] =>
  count && count.told > 0 ? { total: count.total, counting: count.counting } : count?.before

function startAnew(count: Count): void {
  if (count.told > 0) {
    count.before ??= { total: 0, counting: '' }
    count.before.total = count.total
    count.before.counting = count.counting
  }
  count.told = 0
  count.total = 0
  count.open = 0
  count.quietMs = undefined
  count.isDated = true
  count.isUntold = false
}

export function addTo(count: Count, { total, current, counting, quietMs }: BackendActivity): void {
  count.told++
  count.total += total
  count.counting = counting
  count.open += current ?? 0
  if (current === undefined) count.isUntold = true
  if (quietMs === undefined) count.isDated &&= total === 0
  else count.quietMs = Math.min(count.quietMs ?? quietMs, quietMs)
}

/**
 * How long ago it was used, as far as this look adds to what is known; undefined: nothing.
 * @param goesOn whether it can be compared with what came before
 * @param saved what an earlier run has saved of the same counting
 */
export function useOf(
  { open, total, quietMs, before }: Count,
  goesOn: boolean,
  saved: number | undefined,
): number | undefined {
  if (open > 0) return 0
  if (goesOn) return before && total > before.total ? (quietMs ?? 0) : undefined
  if (quietMs !== undefined) return quietMs
  // Counting began anew while we looked: whatever is counted came since.
  if (before && total > 0) return 0
  return saved !== undefined && total > saved ? 0 : undefined
}
