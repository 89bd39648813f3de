import type { GroupMember } from '../model/groups.js'
import type { Needs } from './needs.js'
import type { Profile, Profiles } from './profile.js'
import type { Phase } from './world.js'

/**
 * Who sleeps, and who is kept awake by what. Pure: what was seen comes in, what is to be done comes out. Whatever is in
 * doubt keeps a group awake.
 */
export interface Seen {
  readonly profiles: Profiles
  readonly needs: Needs
  /** Groups that a route leads to. */
  readonly routed: ReadonlySet<string>
  readonly phase: (group: string) => Phase | undefined
  /** Milliseconds since its last use. */
  readonly idleMs: (group: string) => number | undefined
  /** Requests and connections that are open now. */
  readonly open: (group: string) => number
  /** Why it cannot be told whether a group is used; undefined when it can. */
  readonly doubt: (group: string) => string | undefined
  /** For how long a container has been seen stopped, in milliseconds. */
  readonly stoppedMs: (key: string) => number | undefined
  /** Whether the containers of a source can be acted on. */
  readonly canAct: (source: string) => boolean
  /** Milliseconds since the epoch, for ages. */
  readonly now: number
}

export type Action =
  | { readonly group: string; readonly what: 'sleep'; readonly why: 'idle' }
  | {
      readonly group: string
      readonly what: 'remove'
      readonly why: 'idle' | 'max-age'
      /** The containers to be removed. */
      readonly keys: readonly string[]
    }

/** What is to be expected of a group that runs. */
export interface Outlook {
  readonly idleMs: number
  /** How long it may be idle; 0: as long as it likes. */
  readonly limitMs: number
  /** What keeps it awake; undefined when nothing does, not even the time. */
  readonly kept?: Kept
}

export interface Kept {
  readonly by: Keeper
  /** A container, a group, or a reason in words. */
  readonly detail?: string
}

export type Keeper =
  /** Its idle time is not over. */
  | 'time'
  /** Its idle time is 0. */
  | 'setting'
  /** Something is open. */
  | 'use'
  /** It is being started, or put to sleep already. */
  | 'change'
  /** A container of it may not be put to sleep, or not be started again. */
  | 'container'
  /** A container that runs to its end has not come there. */
  | 'job'
  /** Another group that is awake. */
  | 'need'
  /** No request could wake it. */
  | 'route'
  /** It cannot be told whether it is used. */
  | 'doubt'
  /** The app has said that this is not the moment. */
  | 'veto'

/** @returns what is to be done now */
export function decide(seen: Seen): Action[] {
  const actions: Action[] = []
  for (const profile of seen.profiles.all) {
    const { aging, ended, limitMs, running, group } = profile
    if (aging.length > 0 || ended.length > 0) actions.push(...removalsOf(profile, seen))
    // The cheapest question first: of 10,000 groups, most have been used.
    if (running.length === 0 || limitMs === 0 || (seen.idleMs(group.name) ?? 0) < limitMs) continue
    if (outlookOf(profile, seen).kept === undefined) actions.push({ group: group.name, what: 'sleep', why: 'idle' })
  }
  return actions
}

/** @param profile of a group that runs */
export function outlookOf(profile: Profile, seen: Seen): Outlook {
  const { group, limitMs } = profile
  const idleMs = seen.idleMs(group.name) ?? 0
  const kept = keeperOf(profile, seen) ?? tieOf(group.name, seen)
  return kept ? { idleMs, limitMs, kept } : { idleMs, limitMs }
}

/** The first that applies, those first that the passing of time does not change. */
function keeperOf({ group: { name }, limitMs, fixed, job }: Profile, seen: Seen): Kept | undefined {
  const { needs, routed, phase, open, doubt } = seen
  if (fixed) return { by: 'container', detail: fixed.instance.name }
  if (limitMs === 0) return { by: 'setting' }
  if (isChanging(phase(name))) return { by: 'change' }
  const needing = needs.neededBy.get(name)
  if (needing !== undefined) return { by: 'need', detail: needing }
  if (!routed.has(name) && !seen.profiles.wanted.has(name)) return { by: 'route' }
  if (job) return { by: 'job', detail: job.instance.name }
  if (open(name) > 0) return { by: 'use', detail: String(open(name)) }
  const why = doubt(name)
  if (why !== undefined) return { by: 'doubt', detail: why }
  return (seen.idleMs(name) ?? 0) < limitMs ? { by: 'time' } : undefined
}

const isChanging = (phase: Phase | undefined): boolean => phase === 'waking' || phase === 'falling-asleep'

/** Those that need each other go together, or not at all. */
function tieOf(group: string, seen: Seen): Kept | undefined {
  const awake = seen.needs.tiedTo(group).find((other) => {
    const profile = seen.profiles.byName.get(other)
    return profile !== undefined && profile.running.length > 0 && keeperOf(profile, seen) !== undefined
  })
  return awake === undefined ? undefined : { by: 'need', detail: awake }
}

function removalsOf(profile: Profile, seen: Seen): Action[] {
  const { name } = profile.group
  if (isChanging(seen.phase(name))) return []
  const old = profile.aging.filter((member) => isOverAge(member, seen))
  const over = leftOver(profile, seen).filter((member) => !old.includes(member))
  const remove = (why: 'idle' | 'max-age', members: readonly GroupMember[]): Action[] =>
    members.length === 0 ? [] : [{ group: name, what: 'remove', why, keys: members.map(({ key }) => key) }]
  return [...remove('max-age', old), ...remove('idle', over)]
}

function isOverAge({ instance, wishes }: GroupMember, { now, canAct }: Seen): boolean {
  const { maxAgeMs = Number.POSITIVE_INFINITY } = wishes.lifecycle
  return now - instance.createdAt > maxAgeMs && canAct(instance.source)
}

/**
 * Containers that have ended by themselves before they could be put to sleep and removed: died at their start, mostly. One
 * that has only just been made waits for its first start as long as an idle one for its end.
 */
function leftOver({ group, ended }: Profile, { stoppedMs, canAct }: Seen): GroupMember[] {
  const found = ended.filter(
    ({ key, instance, wishes }) => (stoppedMs(key) ?? 0) >= wishes.lifecycle.idleMs && canAct(instance.source),
  )
  // Others may still wait for what a job has done.
  const areAll = group.members.every((member) => member.isJob || found.includes(member))
  return areAll ? found : found.filter(({ isJob }) => !isJob)
}
