import type { Group, GroupMember, Groups } from '../model/groups.js'

/** What can be said of a group as long as none of its containers changes, and need not be found out with every look. */
export interface Profile {
  readonly group: Group
  /** Its members that run. */
  readonly running: readonly GroupMember[]
  /** How long it may be idle: who wants the longest speaks for all. 0: for ever. */
  readonly limitMs: number
  /** Runs, and may not be put to sleep. */
  readonly fixed: GroupMember | undefined
  /** Runs, and is to run to its end. */
  readonly job: GroupMember | undefined
  /** Members that are too old one day. */
  readonly aging: readonly GroupMember[]
  /** Members that would have been removed had they been put to sleep, and do not run. */
  readonly ended: readonly GroupMember[]
}

export interface Profiles {
  readonly all: readonly Profile[]
  readonly byName: ReadonlyMap<string, Profile>
  /** Groups that need others. */
  readonly needy: readonly Group[]
  /** Groups that some group needs, be that awake or not. */
  readonly wanted: ReadonlySet<string>
}

/** A group that is the same object as last time keeps its profile; the same groups keep them all. */
export function createProfiler(): (groups: Groups) => Profiles {
  let last: (Profiles & { readonly groups: Groups }) | undefined
  return (groups) => {
    if (last?.groups === groups) return last
    const byName = new Map<string, Profile>()
    for (const [name, group] of groups.byName) {
      const before = last?.byName.get(name)
      byName.set(name, before?.group === group ? before : profileOf(group))
    }
    const needy = [...groups.byName.values()].filter(({ needs }) => needs.length > 0)
    const wanted = new Set(needy.flatMap(({ needs }) => needs))
    last = { groups, byName, all: [...byName.values()], needy, wanted }
    return last
  }
}

function profileOf(group: Group): Profile {
  const running = group.members.filter(isRunning)
  const fixed = running.find(({ wishes }) => !wishes.lifecycle.wake)
  const limits = running.map(({ wishes }) => wishes.lifecycle.idleMs)
  return {
    group,
    running,
    fixed,
    limitMs: fixed || limits.includes(0) ? 0 : Math.max(0, ...limits),
    job: running.find(({ isJob }) => isJob),
    aging: group.members.filter(isAging),
    ended: running.length > 0 ? NOBODY : group.members.filter(isEnded),
  }
}

const NOBODY: readonly GroupMember[] = []

/** Whoever is told to stop runs until it has. */
const isRunning = ({ instance: { state } }: GroupMember): boolean =>
  state === 'running' || state === 'restarting' || state === 'stopping'

/** A source that cannot tell when a container was made says 0. */
const isAging = ({ instance, wishes }: GroupMember): boolean =>
  wishes.lifecycle.maxAgeMs !== undefined && instance.createdAt > 0

const isEnded = ({ instance, wishes: { lifecycle } }: GroupMember): boolean =>
  instance.state === 'stopped' && lifecycle.wake && lifecycle.onIdle === 'remove' && lifecycle.idleMs > 0
