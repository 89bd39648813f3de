import type { Group, GroupMember } from '../model/groups.js'
import { isLive } from '../model/instance.js'
import type { Backend, Plan } from '../model/plan.js'
import { needsOf } from './needs.js'
import type { World } from './world.js'

/** What facts and plan say of a group. */
export interface GroupViews {
  /** Every request that can be answered is answered without starting anything. */
  isReady(group: string): boolean
  /** The backends that the plan has of it. */
  backends(group: string): readonly Backend[]
  /** Something of it runs. */
  isUp(group: string): boolean
  /** Nothing of it is on its way, up or down. */
  isSettled(group: string): boolean
  /** Another group that runs cannot do without it; one that it needs as much itself does not count. */
  isNeeded(group: string): boolean
}

export function createGroupViews(world: Pick<World, 'plan' | 'groups'>): GroupViews {
  let last: { plan: Plan; backends: ReadonlyMap<string, readonly Backend[]> } | undefined

  function backends(name: string): readonly Backend[] {
    const plan = world.plan()
    if (!plan) return []
    if (last?.plan !== plan) last = { plan, backends: byGroup(plan) }
    return last.backends.get(name) ?? []
  }

  const members = (name: string): readonly GroupMember[] => world.groups()?.byName.get(name)?.members ?? []
  const isUp = (name: string) => members(name).some(isRunning)

  return {
    backends,
    isUp,
    isReady(name) {
      const own = backends(name)
      if (own.length > 0) return own.every(({ held }) => !held) && own.some(({ servers }) => servers.length > 0)
      const lasting = members(name).filter(({ isJob }) => !isJob)
      const ours = lasting.filter(({ wishes }) => wishes.lifecycle.wake)
      const expected = ours.length > 0 ? ours : lasting
      return expected.length > 0 && expected.every(({ instance }) => isLive(instance))
    },
    isSettled: (name) => members(name).every(isSettled),
    isNeeded(name) {
      const groups = world.groups()
      if (!groups) return false
      const awake = new Set([...groups.byName.keys()].filter(isUp))
      return needsOf(groups, awake).neededBy.has(name)
    },
  }
}

function byGroup({ backends }: Plan): Map<string, Backend[]> {
  const groups = new Map<string, Backend[]>()
  for (const backend of backends) {
    const same = groups.get(backend.group)
    if (same) same.push(backend)
    else groups.set(backend.group, [backend])
  }
  return groups
}

export const isRunning = ({ instance: { state } }: GroupMember): boolean =>
  state === 'running' || state === 'restarting' || state === 'stopping'

const isSettled = ({ instance: { state, health } }: GroupMember): boolean =>
  state === 'stopped' || state === 'paused' || (state === 'running' && health !== 'starting')

/** Every group that this one needs, be it by way of others. */
export function whatItNeeds(groups: ReadonlyMap<string, Group>, name: string): Set<string> {
  const found = new Set([name])
  for (const one of found) for (const other of groups.get(one)?.needs ?? []) found.add(other)
  found.delete(name)
  return found
}

/** Every group that needs this one, be it by way of others. */
export function whoNeeds(groups: ReadonlyMap<string, Group>, name: string): Set<string> {
  const found = new Set([name])
  for (const wanted of found) {
    for (const { name: other, needs } of groups.values()) if (needs.includes(wanted)) found.add(other)
  }
  found.delete(name)
  return found
}
