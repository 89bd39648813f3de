import type { Group, GroupMember, Groups } from '../model/groups.js'
import type { Needs } from './needs.js'
import type { Phase } from './world.js'

/**
 * Who sleeps, and who is kept awake by what. Pure: what was seen comes in, what is to be done comes out. Whatever is in
 * doubt keeps a group awake.
 */
export interface Seen {
  readonly groups: Groups
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

export interface Decision {
  readonly actions: readonly Action[]
  /** By group, of those that run. */
  readonly outlooks: ReadonlyMap<string, Outlook>
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

export function decide(seen: Seen): Decision {
  const removals: Action[] = []
  const outlooks = new Map<string, Outlook>()
  for (const group of seen.groups.byName.values()) {
    const running = group.members.filter(isRunning)
    if (running.length > 0) outlooks.set(group.name, outlookOf(group, running, seen))
    if (!isChanging(seen.phase(group.name))) removals.push(...removalsOf(group, running, seen))
  }
  keepTied(outlooks, seen.needs)
  const sleeps = [...outlooks].filter(([, { kept }]) => kept === undefined)
  return {
    actions: [...removals, ...sleeps.map(([group]): Action => ({ group, what: 'sleep', why: 'idle' }))],
    outlooks,
  }
}

const isChanging = (phase: Phase | undefined): boolean => phase === 'waking' || phase === 'falling-asleep'

/** Whoever is told to stop runs until it has. */
export const isRunning = ({ instance: { state } }: GroupMember): boolean =>
  state === 'running' || state === 'restarting' || state === 'stopping'

function outlookOf(group: Group, running: readonly GroupMember[], seen: Seen): Outlook {
  const idleMs = seen.idleMs(group.name) ?? 0
  const limitMs = limitOf(running)
  const kept = keeperOf(group.name, running, { idleMs, limitMs }, seen)
  return { idleMs, limitMs, ...(kept && { kept }) }
}

/** How long a group may be idle, if it may be put to sleep at all; 0: it may not. */
export function sleepLimit({ members }: Group): number {
  const running = members.filter(isRunning)
  return running.length > 0 && running.every(({ wishes }) => wishes.lifecycle.wake) ? limitOf(running) : 0
}

/** Who wants the longest speaks for all. */
function limitOf(members: readonly GroupMember[]): number {
  const limits = members.map(({ wishes }) => wishes.lifecycle.idleMs)
  return limits.includes(0) ? 0 : Math.max(...limits)
}

/** The first that applies, those first that the passing of time does not change. */
function keeperOf(
  group: string,
  running: readonly GroupMember[],
  { idleMs, limitMs }: Outlook,
  { needs, routed, phase, open, doubt }: Seen,
): Kept | undefined {
  const fixed = running.find(({ wishes }) => !wishes.lifecycle.wake)
  if (fixed) return { by: 'container', detail: fixed.instance.name }
  if (limitMs === 0) return { by: 'setting' }
  if (isChanging(phase(group))) return { by: 'change' }
  const needing = needs.neededBy.get(group)
  if (needing !== undefined) return { by: 'need', detail: needing }
  if (!routed.has(group) && !needs.wanted.has(group)) return { by: 'route' }
  const job = running.find(({ isJob }) => isJob)
  if (job) return { by: 'job', detail: job.instance.name }
  if (open(group) > 0) return { by: 'use', detail: String(open(group)) }
  const why = doubt(group)
  if (why !== undefined) return { by: 'doubt', detail: why }
  return idleMs < limitMs ? { by: 'time' } : undefined
}

/** Those that need each other go together, or not at all. */
function keepTied(outlooks: Map<string, Outlook>, { tiedTo }: Needs): void {
  const kept = [...outlooks].filter(([, outlook]) => outlook.kept).map(([group]) => group)
  for (const group of kept) {
    for (const other of tiedTo(group)) {
      const outlook = outlooks.get(other)
      if (outlook && !outlook.kept) outlooks.set(other, { ...outlook, kept: { by: 'need', detail: group } })
    }
  }
}

function removalsOf(group: Group, running: readonly GroupMember[], seen: Seen): Action[] {
  const old = group.members.filter((member) => isOverAge(member, seen))
  const over = running.length > 0 ? [] : leftOver(group, seen).filter((member) => !old.includes(member))
  const remove = (why: 'idle' | 'max-age', members: readonly GroupMember[]): Action[] =>
    members.length === 0 ? [] : [{ group: group.name, what: 'remove', why, keys: members.map(({ key }) => key) }]
  return [...remove('max-age', old), ...remove('idle', over)]
}

function isOverAge({ instance: { source, createdAt }, wishes }: GroupMember, { now, canAct }: Seen): boolean {
  const { maxAgeMs } = wishes.lifecycle
  // A source that cannot tell when it was made says 0.
  return maxAgeMs !== undefined && createdAt > 0 && now - createdAt > maxAgeMs && canAct(source)
}

/**
 * Containers that would have been removed had they been put to sleep, and have ended by themselves: died at their start,
 * mostly. One that has only just been made waits for its first start as long as an idle one for its end.
 */
function leftOver({ members }: Group, { stoppedMs, canAct }: Seen): GroupMember[] {
  const found = members.filter(({ key, instance, wishes: { lifecycle } }) => {
    if (instance.state !== 'stopped' || !lifecycle.wake || lifecycle.onIdle !== 'remove') return false
    return lifecycle.idleMs > 0 && (stoppedMs(key) ?? 0) >= lifecycle.idleMs && canAct(instance.source)
  })
  // Others may still wait for what a job has done.
  const areAll = members.every((member) => member.isJob || found.includes(member))
  return areAll ? found : found.filter(({ isJob }) => !isJob)
}
