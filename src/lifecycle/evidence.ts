import { messageOf } from '../lib/errors.js'
import { withDeadline } from '../lib/signals.js'
import type { Plan } from '../model/plan.js'
import type { BackendActivity, Proxy } from '../proxies/proxy.js'
import { addTo, type Count, createCounts, useOf } from './evidence-counts.js'
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
      await Promise.all(watches.map((watch) => watch(plan, found, signal)))
      // Requests come by ways of their own then.
      if (watches.length === 0) for (const { group } of plan.backends) found.untold.add(group)
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

/** Longer than any of them takes to find out that it cannot tell. */
const ASK_MS = 15_000

/** Follows one proxy from look to look. */
function createWatch({ name, activity }: Pick<Proxy, 'name' | 'activity'>, idle: IdleClock) {
  const countsOf = createCounts()
  let isFirst = true
  let isSteady = false

  return async (plan: Plan, found: Findings, signal: AbortSignal): Promise<void> => {
    const { all, ofBackend } = countsOf(plan)
    try {
      if (activity === undefined) throw new Error(`${name} cannot tell of its traffic`)
      const told = await withDeadline({ timeoutMs: ASK_MS, what: `asking ${name} for its traffic` }, signal, activity)
      for (const one of told) {
        const count = ofBackend.get(one.backend)
        if (count) addTo(count, one)
      }
      for (const count of all) judge(count, told, found)
      remember(all)
      ;[isFirst, isSteady] = [false, true]
    } catch (error) {
      signal.throwIfAborted()
      isSteady = false
      const reason = messageOf(error)
      found.failures.set(name, reason)
      for (const { group } of all) found.doubts.set(group, reason)
    }
  }

  function judge(count: Count, told: readonly BackendActivity[], { open, doubts, untold }: Findings): void {
    const { group, before } = count
    const goesOn = before !== undefined && before.counting === count.counting && before.total <= count.total
    const agoMs = useOf(count, goesOn, saved(count))
    if (agoMs !== undefined) idle.touch(group, agoMs)
    if (count.open > 0) open.set(group, (open.get(group) ?? 0) + count.open)
    if (count.isUntold) untold.add(group)
    if (count.told < count.backends.length) doubts.set(group, `${name} does not have ${missing(count, told)} yet`)
    else if (!goesOn || !isSteady) doubts.set(group, `${name} has only just begun to count`)
  }

  /** Its count from before Hostler was started, where it goes on. */
  function saved({ group, counting }: Count): number | undefined {
    const known = isFirst ? idle.countsOf(name) : undefined
    return known?.counting === counting ? known.totals.get(group) : undefined
  }

  function remember(all: readonly Count[]): void {
    const totals = new Map<string, number>()
    let counting: string | undefined
    for (const count of all) {
      if (count.told > 0) counting = count.counting
      // Where the proxy itself tells when the last request came, there is no need to compare.
      if (count.told > 0 && !count.isDated) totals.set(count.group, count.total)
    }
    idle.keepCounts(name, counting === undefined || totals.size === 0 ? undefined : { counting, totals })
  }
}

function missing({ backends }: Count, told: readonly BackendActivity[]): string {
  const [first = ''] = backends
  // Of one backend it is that one: the others are looked for only where there are others.
  return backends.length === 1 ? first : (backends.find((name) => !told.some((one) => one.backend === name)) ?? first)
}
