import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import { inTime } from '../lib/signals.js'
import { type Instance, isLive, keyOf } from '../model/instance.js'
import type { WishReader } from '../model/reader.js'
import type { LabelRules } from '../model/wishes.js'
import type { FactGate } from '../reconcile/reconciler.js'
import type { Probe, ProbeTarget } from './probe.js'
import { probeTargets, sameTargets } from './probe-targets.js'
import { createReadiness } from './readiness.js'

/**
 * Stands between the facts and the plan: what has just started is handed on as `starting` until it answers, and what is
 * about to be stopped as `stopping` before it is.
 *
 * INVARIANTS
 * - What was live when its source first told anything is let through: a restart of Hostler takes no route away.
 * - What is let through is the source's own object, and nothing is made anew for what did not change.
 * - What is withheld stays so, whatever the facts say, until it is released.
 */
export interface Gate extends FactGate {
  /** Takes the traffic of these containers away. */
  withhold(keys: Iterable<string>): void
  /** Says again of these containers what the facts say. */
  release(keys: Iterable<string>): void
  isWithheld(key: string): boolean
  /** Ends every probe. */
  stop(): void
}

export interface GateInputs {
  readonly read: WishReader
  readonly rules: LabelRules
  readonly readiness: { readonly enabled: boolean; readonly timeout: number }
  readonly probe: Probe
  /** It says something else of the same facts. */
  readonly changed: () => void
  readonly clock: Clock
  readonly log: Logger
}

export function createGate({ read, rules, readiness, probe, changed, clock, log }: GateInputs): Gate {
  const ready = createReadiness({ probe, timeoutMs: readiness.timeout, clock })
  const known = new Map<string, Known>()
  const shown = new WeakMap<Instance, Instance>()
  const withheld = new Set<string>()
  const trusted = new Set<string>()
  let last: { instances: readonly Instance[]; result: readonly Instance[] } | undefined
  /** Of the newest facts: those who have just begun to be asked, and how much else is new. */
  let news = { comers: [] as Probing[], others: 0 }

  function judge(raw: Instance, isFirst: boolean): Instance {
    const key = keyOf(raw)
    const before = known.get(key)
    if (before) shown.delete(before.raw)
    const now = { key, raw, ...judged(raw, before, isFirst) }
    if (now.probing !== before?.probing) before?.probing?.end.abort()
    if (now.probing && now.probing !== before?.probing) news.comers.push(now.probing)
    else news.others++
    known.set(key, now)
    return show(now)
  }

  function judged(raw: Instance, before: Known | undefined, isFirst: boolean): Pick<Known, 'isThrough' | 'probing'> {
    if (!isLive(raw)) return { isThrough: false }
    if (!readiness.enabled || isFirst || before?.isThrough) return { isThrough: true }
    const wishes = read(raw)
    if (!wishes || wishes.routes.length === 0) return { isThrough: true }
    const targets = probeTargets(wishes, rules)
    // Without an address it gets no traffic; once it has one, it is asked.
    if (targets.length === 0) return { isThrough: false }
    if (before?.probing && sameTargets(before.probing.targets, targets))
      return { isThrough: false, probing: before.probing }
    return { isThrough: false, probing: startProbing(keyOf(raw), targets) }
  }

  function startProbing(key: string, targets: readonly ProbeTarget[]): Probing {
    const end = new AbortController()
    const answer = ready.wait(targets, end.signal)
    const probing = { targets, end, answer }
    answer.then(
      (isReady) => letThrough(key, probing, isReady),
      () => undefined,
    )
    return probing
  }

  function letThrough(key: string, probing: Probing, isReady: boolean): void {
    const now = known.get(key)
    if (now?.probing !== probing) return
    const { name, source } = now.raw
    const ports = probing.targets.map(({ port }) => port)
    if (!isReady && probing.targets.some(({ insists }) => insists)) {
      log.warn(
        { container: name, source, ports },
        'its health check does not answer as it should; no request goes there',
      )
      known.set(key, { ...now, probing: startProbing(key, probing.targets) })
      return
    }
    if (!isReady) {
      log.warn({ container: name, source, ports }, 'it runs but does not answer in time; it is routed to all the same')
    }
    update({ key, raw: now.raw, isThrough: true })
  }

  function update(now: Known): void {
    known.set(now.key, now)
    show(now)
    last = undefined
    changed()
  }

  function show({ key, raw, probing }: Known): Instance {
    const instance = disguised(raw, withheld.has(key), probing !== undefined)
    shown.set(raw, instance)
    return instance
  }

  async function graceOver(comers: readonly Probing[]): Promise<void> {
    const all = () => Promise.allSettled(comers.map(({ answer }) => answer))
    await inTime({ ms: GRACE_MS, clock }, new AbortController().signal, all)
  }

  function forgetGone(instances: readonly Instance[]): void {
    const present = new Set(instances)
    news.others++
    for (const [key, { raw, probing }] of known) {
      if (present.has(raw)) continue
      probing?.end.abort()
      known.delete(key)
      shown.delete(raw)
    }
  }

  function reveal(keys: Iterable<string>, change: (key: string) => boolean): void {
    const changes = [...keys].filter(change)
    for (const key of changes) {
      const now = known.get(key)
      if (now) show(now)
    }
    if (changes.length === 0) return
    last = undefined
    changed()
  }

  return {
    pass(instances, sources) {
      const fresh = sources.filter((source) => !trusted.has(source))
      if (last?.instances === instances && fresh.length === 0) return last.result
      news = { comers: [], others: 0 }
      const result = instances.map((raw) => shown.get(raw) ?? judge(raw, fresh.includes(raw.source)))
      if (known.size > instances.length) forgetGone(instances)
      for (const source of fresh) trusted.add(source)
      last = { instances, result: sameOf(instances, last?.result, result) }
      return last.result
    },
    settled() {
      const { comers, others } = news
      if (comers.length === 0 || others > 0) return undefined
      news = { comers: [], others: 0 }
      return graceOver(comers)
    },
    withhold: (keys) => reveal(keys, (key) => !withheld.has(key) && withheld.add(key) !== undefined),
    release: (keys) => reveal(keys, (key) => withheld.delete(key)),
    isWithheld: (key) => withheld.has(key),
    withheld: () => withheld,
    stop() {
      for (const { probing } of known.values()) probing?.end.abort()
    },
  }
}

interface Known {
  readonly key: string
  readonly raw: Instance
  /** It has answered once since it became live, or was live before we came. */
  readonly isThrough: boolean
  readonly probing?: Probing
}

interface Probing {
  readonly targets: readonly ProbeTarget[]
  readonly end: AbortController
  /** Whether it answered in time; rejects when it is not asked any more. */
  readonly answer: Promise<boolean>
}

/** Who answers within this comes with one change instead of two; who does not is missed by nobody for so long. */
const GRACE_MS = 25

function disguised(raw: Instance, isWithheld: boolean, isProbing: boolean): Instance {
  if (isWithheld && raw.state === 'running') return { ...raw, state: 'stopping' }
  return isProbing ? { ...raw, health: 'starting' } : raw
}

/** An array that is there already, where one says the same. */
function sameOf<T>(given: readonly T[], before: readonly T[] | undefined, now: readonly T[]): readonly T[] {
  for (const other of [given, before]) {
    if (other?.length === now.length && other.every((item, index) => item === now[index])) return other
  }
  return now
}
