import type { Group, GroupMember, Groups } from '../model/groups.js'
import type { OnIdle } from '../model/wishes.js'
import { isRunning } from './group-views.js'
import type { SleepReason } from './world.js'

/** A container that is to be put to sleep, and how. */
export interface SleepTarget {
  readonly key: string
  readonly member: GroupMember
  readonly how: OnIdle
  /** The targets that must be down before: they depend on it. */
  readonly after: readonly string[]
}

/**
 * Which containers of a group go to sleep: those that may be woken again, or with `max-age` those that are past theirs. What
 * somebody depends on who stays up stays up as well.
 * @param now milliseconds since the epoch
 */
export function whoSleeps(group: Group, groups: Groups, why: SleepReason, now: number): SleepTarget[] {
  const wanted = group.members.flatMap((member) => {
    const how = wayOf(member, why, now)
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

function wayOf(member: GroupMember, why: SleepReason, now: number): OnIdle | undefined {
  const { instance, wishes } = member
  const { wake, onIdle, maxAgeMs } = wishes.lifecycle
  if (why === 'max-age') {
    const isOld = maxAgeMs !== undefined && instance.createdAt > 0 && now - instance.createdAt >= maxAgeMs
    return isOld ? 'remove' : undefined
  }
  if (!wake) return undefined
  return isRunning(member) || onIdle === 'remove' ? onIdle : undefined
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
