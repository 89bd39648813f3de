import type { Clock } from '../lib/clock.js'
import { messageOf } from '../lib/errors.js'
import { createLimit } from '../lib/limit.js'
import { withDeadline } from '../lib/signals.js'
import type { GroupMember } from '../model/groups.js'
import type { Runtime } from '../runtimes/runtime.js'
import type { Profile } from './profile.js'

/**
 * Tells by what containers send whether somebody talks with them, where the proxy cannot tell what is open. Measured on
 * Docker's bridge: a container that nobody talks with sends nothing at all, whatever it receives (70 bytes of neighbour
 * discovery now and then); a small request makes it send 625 bytes. Whoever holds a silent connection open asks now and
 * then whether the other side lives: Go does every 15 to 30 s, and the answer is 66 bytes.
 */
export interface TrafficWatch {
  /** Looks at those groups of which it is time to. */
  look(groups: readonly Watched[], signal: AbortSignal): Promise<void>
  /** Why it cannot be told of a group whether it is talked with, as of the last look; undefined: it is not. */
  doubt(group: string): string | undefined
  /** We have asked something of a container of the group ourselves. */
  asked(group: string): void
}

export interface Watched {
  readonly profile: Profile
  readonly idleMs: number
}

export interface TrafficWatchInputs {
  readonly runtime: (source: string) => Runtime | undefined
  /** Somebody talks with it. */
  readonly used: (group: string) => void
  /** What a container may send in a second while nobody talks with it. */
  readonly quietBytes: number
  readonly clock: Clock
}

/** Asking takes up to a second, in which the engine does little. */
const WIDTH = 32
const MAX_GROUPS = 200
const ASK_MS = 10_000
/** A stray packet, whenever one looks. */
const STRAY_BYTES = 64
/** The answer to a health check, or to a question of ours. */
const PROBE_BYTES = 2048
/** What is compared lies so far apart, if it can: the longer, the fainter is what can be told from nothing. */
const WINDOW_MS = 60_000

interface Track {
  doubt: string | undefined
  sample: Sample | undefined
  /** How often we have asked something since that sample. */
  asked: number
}

interface Sample {
  readonly at: number
  /** Bytes sent, by container. */
  readonly sent: ReadonlyMap<string, number>
}

export function createTrafficWatch({ runtime, used, quietBytes, clock }: TrafficWatchInputs): TrafficWatch {
  const limited = createLimit(WIDTH)
  const tracks = new Map<string, Track>()

  async function look(groups: readonly Watched[], signal: AbortSignal): Promise<void> {
    const names = new Set(groups.map(({ profile }) => profile.group.name))
    for (const name of tracks.keys()) if (!names.has(name)) tracks.delete(name)
    const turns = groups.map((watched) => ({ watched, track: trackOf(watched.profile.group.name) })).filter(isTime)
    for (const { track } of turns) track.doubt = NOT_YET
    turns.sort((a, b) => (a.track.sample?.at ?? 0) - (b.track.sample?.at ?? 0))
    await Promise.all(turns.slice(0, MAX_GROUPS).map((turn) => limited(() => judge(turn, signal))))
  }

  function trackOf(name: string): Track {
    const track = tracks.get(name) ?? { doubt: NOT_YET, sample: undefined, asked: 0 }
    tracks.set(name, track)
    return track
  }

  const isTime = ({ watched, track: { sample } }: Turn): boolean =>
    sample === undefined || watched.idleMs >= watched.profile.limitMs || isOver(sample, watched)

  const isOver = ({ at }: Sample, watched: Watched): boolean => clock.elapsed() - at >= windowOf(watched)

  async function judge({ watched, track }: Turn, signal: AbortSignal): Promise<void> {
    const members = watched.profile.running.filter(({ wishes }) => wishes.routes.length > 0)
    try {
      const sample = await take(members, signal)
      const before = track.sample
      const isComparable = before !== undefined && members.every(({ key }) => isMore(key, before, sample))
      const isUsed = isComparable && members.some((member) => isTalking(member, before, sample, track.asked))
      if (isUsed) used(watched.profile.group.name)
      track.doubt = isComparable ? undefined : NOT_YET
      // Else the next one is compared with the same again.
      if (!isComparable || isUsed || isOver(before, watched)) Object.assign(track, { sample, asked: 0 })
    } catch (error) {
      signal.throwIfAborted()
      track.doubt = `what its containers send cannot be told: ${messageOf(error)}`
    }
  }

  async function take(members: readonly GroupMember[], signal: AbortSignal): Promise<Sample> {
    const sent = new Map<string, number>()
    for (const { key, instance } of members) {
      const ask = async (until: AbortSignal) => runtime(instance.source)?.traffic(instance.id, until)
      const traffic = await withDeadline({ timeoutMs: ASK_MS, what: 'the answer' }, signal, ask)
      if (traffic === undefined) throw new Error(`${instance.name} has no counters`)
      sent.set(key, traffic.sentBytes)
    }
    return { at: clock.elapsed(), sent }
  }

  function isTalking({ key, wishes }: GroupMember, before: Sample, now: Sample, asked: number): boolean {
    const ms = now.at - before.at
    const checks = wishes.routes.reduce(
      (sum, { healthCheck }) => sum + (healthCheck ? ms / healthCheck.intervalMs : 0),
      0,
    )
    const explained = STRAY_BYTES + (quietBytes * ms) / 1000 + PROBE_BYTES * (asked + checks)
    return (now.sent.get(key) ?? 0) - (before.sent.get(key) ?? 0) > explained
  }

  return {
    look,
    doubt: (group) => (tracks.get(group) ?? { doubt: NOT_YET }).doubt,
    asked(group) {
      const track = tracks.get(group)
      if (track) track.asked++
    },
  }
}

interface Turn {
  readonly watched: Watched
  readonly track: Track
}

const NOT_YET = 'what its containers send has only just begun to be watched'

const windowOf = ({ profile: { limitMs } }: Watched): number => Math.min(limitMs, Math.max(WINDOW_MS, limitMs / 8))

/** A container that was started anew counts from nothing. */
const isMore = (key: string, before: Sample, now: Sample): boolean =>
  (now.sent.get(key) ?? 0) >= (before.sent.get(key) ?? Number.POSITIVE_INFINITY)
