import type { Group, GroupMember, Groups } from '../model/groups.js'
import type { OnIdle } from '../model/wishes.js'
import { isRunning } from './group-views.js'

/** A container that is to be put to sleep, and how. */
export interface SleepTarget {
  readonly key: string
  readonly member: GroupMember
  readonly how: OnIdle
  /** The targets that must be down before: they depend on it. */
  readonly after: readonly string[]
}

/** Those of a group that may be woken again. */
export const whoSleeps = (group: Group, groups: Groups): SleepTarget[] => targetsOf(group, groups, wayToSleep)

/** Those of a group that are named. */
export const whoIsRemoved = (group: Group, groups: Groups, keys: readonly string[]): SleepTarget[] =>
  targetsOf(group, groups, ({ key }) => (keys.includes(key) ? 'remove' : undefined))

function wayToSleep(member: GroupMember): OnIdle | undefined {
  const { wake, onIdle } = member.wishes.lifecycle
  return wake && (isRunning(member) || onIdle === 'remove') ? onIdle : undefined
}

/** What somebody depends on who stays up stays up as well. */
function targetsOf(group: Group, groups: Groups, wayOf: (member: GroupMember) => OnIdle | undefined): SleepTarget[] {
  const wanted = group.members.flatMap((member) => {
    const how = wayOf(member)
    return how ? [{ member, how }] : []
  })
  const goes = new Set(wanted.map(({ member }) => member.key))
  const dependents = dependentsOf(groups)
  const isNeeded = (key: string) =>
    dependents.get(key)?.some((other) => isRunning(other) && !goes.has(other.key)) === true
  // One that stays may keep another one up.
  for (let before = -1; before !== goes.size; ) {
    before = goes.size
    for (const key of [...goes]) if (isNeeded(key)) goes.delete(key)
  }
  return wanted
    .filter(({ member }) => goes.has(member.key))
    .map(({ member, how }) => ({
      ...{ key: member.key, member, how },
      after: (dependents.get(member.key) ?? []).flatMap(({ key }) => (goes.has(key) ? [key] : [])),
    }))
}

/** Who is in want of a container while it runs; one that waited for the end of a job is not. */
function dependentsOf({ members }: Groups): ReadonlyMap<string, readonly GroupMember[]> {
  const dependents = new Map<string, GroupMember[]>()
  for (const member of members.values()) {
    for (const { key, condition } of member.dependsOn) {
      if (condition === 'completed') continue
      const same = dependents.get(key)
      if (same) same.push(member)
      else dependents.set(key, [member])
    }
  }
  return dependents
}
