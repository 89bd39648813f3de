import { withDeadline } from '../lib/deadline.js'
import { messageOf } from '../lib/errors.js'
import type { Backend, Plan } from '../model/plan.js'
import type { BackendActivity, Proxy } from '../proxies/proxy.js'
import type { IdleClock } from './idle-clock.js'

/** What the proxies tell of who is used: it moves the idle clock, and whatever it leaves open is a doubt. */
export interface Evidence {
  look(plan: Plan, signal: AbortSignal): Promise<Look>
}

export interface Look {
  /** Requests and connections that are open, by group. */
  readonly open: ReadonlyMap<string, number>
  /** Why it cannot be told of a group whether it is used. */
  readonly doubts: ReadonlyMap<string, string>
  /** Groups of which some proxy cannot tell what is open. */
  readonly untold: ReadonlySet<string>
  /** Proxies that could not be asked, and why. */
  readonly failures: ReadonlyMap<string, string>
}

export interface EvidenceInputs {
  readonly proxies: readonly Pick<Proxy, 'name' | 'activity'>[]
  readonly idle: IdleClock
}

export function createEvidence({ proxies, idle }: EvidenceInputs): Evidence {
  const watches = proxies.map((proxy) => createWatch(proxy, idle))
  return {
    async look(plan, signal) {
      const found: Findings = { open: new Map(), doubts: new Map(), untold: new Set(), failures: new Map() }
      const byGroup = backendsByGroup(plan)
      await Promise.all(watches.map((watch) => watch(byGroup, found, signal)))
      // Requests come by ways of their own then.
      if (watches.length === 0) for (const group of byGroup.keys()) found.untold.add(group)
      return found
    },
  }
}

interface Findings extends Look {
  readonly open: Map<string, number>
  readonly doubts: Map<string, string>
  readonly untold: Set<string>
  readonly failures: Map<string, string>
}

type BackendsByGroup = ReadonlyMap<string, readonly Backend[]>

function backendsByGroup({ backends }: Plan): BackendsByGroup {
  const byGroup = new Map<string, Backend[]>()
  for (const backend of backends) {
    const same = byGroup.get(backend.group)
    if (same) same.push(backend)
    else byGroup.set(backend.group, [backend])
  }
  return byGroup
}

/** Longer than any of them takes to find out that it cannot tell. */
const ASK_MS = 15_000

/** Follows one proxy from look to look. */
function createWatch({ name, activity }: Pick<Proxy, 'name' | 'activity'>, idle: IdleClock) {
  let last: { readonly sums: ReadonlyMap<string, Sum>; isSteady: boolean } | undefined

  return async (byGroup: BackendsByGroup, found: Findings, signal: AbortSignal): Promise<void> => {
    try {
      if (activity === undefined) throw new Error(`${name} cannot tell of its traffic`)
      const told = await withDeadline({ timeoutMs: ASK_MS, what: `asking ${name} for its traffic` }, signal, activity)
      const sums = sumsOf(byGroup, new Map(told.map((one) => [one.backend, one])))
      for (const [group, sum] of sums) judge(group, sum, found)
      remember(sums)
    } catch (error) {
      signal.throwIfAborted()
      if (last) last.isSteady = false
      const reason = messageOf(error)
      found.failures.set(name, reason)
      for (const group of byGroup.keys()) found.doubts.set(group, reason)
    }
  }

  function judge(group: string, sum: Sum, { open, doubts, untold }: Findings): void {
    const before = last?.sums.get(group)
    const goesOn = isSameCount(before, sum)
    const agoMs = useOf(sum, goesOn ? before : undefined, { wasKnown: before !== undefined, saved: saved(group, sum) })
    if (agoMs !== undefined) idle.touch(group, agoMs)
    if (sum.open > 0) open.set(group, (open.get(group) ?? 0) + sum.open)
    if (sum.isUntold) untold.add(group)
    if (sum.missing !== undefined) doubts.set(group, `${name} does not have ${sum.missing} yet`)
    else if (!goesOn || last?.isSteady !== true) doubts.set(group, `${name} has only just begun to count`)
  }

  /** Its count from before Hostler was started, where it goes on. */
  function saved(group: string, { counting }: Sum): number | undefined {
    const known = last ? undefined : idle.countsOf(name)
    return known?.counting === counting ? known.totals.get(group) : undefined
  }

  function remember(sums: ReadonlyMap<string, Sum>): void {
    last = { sums, isSteady: true }
    const totals = [...sums].filter(([, { isDated }]) => !isDated).map(([group, { total }]) => [group, total] as const)
    const [counting] = [...sums.values()].map((sum) => sum.counting)
    // Where the proxy itself tells when the last request came, there is no need to compare.
    const isNeeded = totals.length > 0 && counting !== undefined
    idle.keepCounts(name, isNeeded ? { counting, totals: new Map(totals) } : undefined)
  }
}

/** The backends of a group, as one proxy tells of them. */
interface Sum {
  total: number
  open: number
  counting: string
  /** Since the last request. */
  quietMs: number | undefined
  /** Nothing came, or it is known when. */
  isDated: boolean
  /** It is not told of all what is open. */
  isUntold: boolean
  /** A backend that was not told of. */
  missing: string | undefined
}

function sumsOf(byGroup: BackendsByGroup, told: ReadonlyMap<string, BackendActivity>): Map<string, Sum> {
  const sums = new Map<string, Sum>()
  for (const [group, backends] of byGroup) sums.set(group, sumOf(backends, told))
  return sums
}

function sumOf(backends: readonly Backend[], told: ReadonlyMap<string, BackendActivity>): Sum {
  const sum: Sum = { ...NOTHING }
  for (const { name } of backends) {
    const one = told.get(name)
    if (one === undefined) {
      sum.missing = name
      continue
    }
    sum.total += one.total
    sum.open += one.current ?? 0
    sum.counting = one.counting
    sum.isUntold ||= one.current === undefined
    sum.isDated &&= one.quietMs !== undefined || one.total === 0
    if (one.quietMs !== undefined) sum.quietMs = Math.min(sum.quietMs ?? one.quietMs, one.quietMs)
  }
  return sum
}

const NOTHING: Sum = {
  ...{ total: 0, open: 0, counting: '', quietMs: undefined, isDated: true, isUntold: false, missing: undefined },
}

const isSameCount = (before: Sum | undefined, now: Sum): boolean =>
  before !== undefined && before.counting === now.counting && before.total <= now.total

/** How long ago it was used, as far as this look adds to what is known; undefined: nothing. */
function useOf(
  { open, total, quietMs }: Sum,
  before: Sum | undefined,
  { wasKnown, saved }: { wasKnown: boolean; saved: number | undefined },
): number | undefined {
  if (open > 0) return 0
  if (before) return total > before.total ? (quietMs ?? 0) : undefined
  if (quietMs !== undefined) return quietMs
  // Counting began anew while we looked: whatever is counted came since.
  if (wasKnown && total > 0) return 0
  return saved !== undefined && total > saved ? 0 : undefined
}
