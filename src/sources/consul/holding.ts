import { isDeepStrictEqual } from 'node:util'
import { compareText } from '../../lib/compare.js'
import { type Instance, isLive } from '../../model/instance.js'

/**
 * After an outage a server may have lost its state, and then knows of nothing until every agent has told it again. What was there
 * before is therefore kept until it is seen again, for at most the lease, or as long as agents may take where the server has
 * begun to count anew. What was seen again and goes then, has gone.
 *
 * One that has kept its state calls everything critical that it has not looked at since, and its agents tell that, and that all
 * is well again, at their own pace. After an outage, what was well is therefore not well any more only when that has lasted.
 */
export interface Holding {
  /** The server could not be reached; or it has begun to count anew, with an older state or none. */
  doubt(why: 'outage' | 'index'): void
  /**
   * What there is, given what the server says there is. Both are sorted by id. Undefined: who begins in an outage knows nothing
   * of before, and the server does not yet either.
   * @param newest how far the server has counted
   */
  believe(told: readonly Instance[], newest: number): readonly Instance[] | undefined
  /** For how long something still counts that the server does not tell; undefined: nothing does. */
  leftMs(): number | undefined
}

/**
 * Agents compare what they know with what the servers do once a minute, and up to another one later so that not all do at once
 * (https://github.com/hashicorp/consul/blob/v1.8.7/agent/ae/ae.go, `nextFSMState`; longer beyond 128 nodes).
 */
const RETELLING_MS = 125_000

/**
 * An agent tells its servers within 3 s of their coming, and where that fails within 30 s
 * (https://github.com/hashicorp/consul/blob/v1.8.7/agent/ae/ae.go, `serverUpIntv` and `retryFailIntv`).
 */
const LOOKING_MS = 35_000

export interface HoldingInputs {
  readonly leaseMs: number
  readonly retellingMs?: number | undefined
  readonly lookingMs?: number | undefined
  readonly elapsed: () => number
}

export function createHolding({
  leaseMs,
  retellingMs = RETELLING_MS,
  lookingMs = LOOKING_MS,
  elapsed,
}: HoldingInputs): Holding {
  let believed: ReadonlyMap<string, Instance> = new Map()
  let isFirst = true
  let doubted: 'outage' | 'index' | undefined
  let newestSeen = 0
  let awaited = new Map<string, Instance>()
  let awaitedUntilMs = 0
  /** Those that are told as failing and count as well, and until when. */
  let failing = new Map<string, number>()
  let lookedAtUntilMs = 0
  let isWithheld = false

  function settle(newest: number): void {
    const now = elapsed()
    if (doubted !== undefined) {
      // What others have told since may have brought the count beyond where it was.
      const isAnew = doubted === 'index' || newest < newestSeen
      awaited = new Map(believed)
      awaitedUntilMs = now + (isAnew ? Math.max(leaseMs, retellingMs) : leaseMs)
      lookedAtUntilMs = now + lookingMs
    }
    doubted = undefined
    newestSeen = newest
    if (now >= awaitedUntilMs) awaited.clear()
  }

  function judge(told: readonly Instance[]): readonly Instance[] {
    const now = elapsed()
    if (now >= lookedAtUntilMs && failing.size === 0) return told
    const still = new Map<string, number>()
    const judged = told.map((instance) => {
      const before = believed.get(instance.id)
      if (!before || !isLive(before) || !isFailing(instance)) return instance
      const until = failing.get(instance.id) ?? (now < lookedAtUntilMs ? now + lookingMs : now)
      if (now >= until) return instance
      still.set(instance.id, until)
      const well = { ...instance, health: before.health }
      return isDeepStrictEqual(well, before) ? before : well
    })
    failing = still
    return judged
  }

  return {
    doubt(why) {
      if (doubted !== 'outage') doubted = why
    },
    believe(told, newest) {
      settle(newest)
      isWithheld = isFirst && elapsed() < lookedAtUntilMs && (told.length === 0 || told.some(isFailing))
      if (isWithheld) return undefined
      isFirst = false
      for (const { id } of told) awaited.delete(id)
      const judged = judge(told)
      const all = awaited.size === 0 ? judged : [...judged, ...awaited.values()].sort((a, b) => compareText(a.id, b.id))
      believed = new Map(all.map((instance) => [instance.id, instance]))
      return all
    },
    leftMs() {
      const ends = [...failing.values()]
      if (awaited.size > 0) ends.push(awaitedUntilMs)
      if (isWithheld) ends.push(lookedAtUntilMs)
      return ends.length === 0 ? undefined : Math.max(0, Math.min(...ends) - elapsed())
    },
  }
}

const isFailing = ({ state, health }: Instance): boolean => state === 'running' && health === 'unhealthy'
