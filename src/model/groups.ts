import { type Dependency, dependenciesOf, sameCompose, serviceOf, withoutCircles } from './dependencies.js'
import type { Instance } from './instance.js'
import type { WishReader } from './reader.js'
import type { Wishes } from './wishes.js'

export type { Dependency }

/** Containers that wake and sleep together. */
export interface Group {
  readonly name: string
  /** In the order in which they start: what others need comes first. They stop the other way round. */
  readonly members: readonly GroupMember[]
  /** Other groups with containers that members of this one depend on; they must be up while this one is. */
  readonly needs: readonly string[]
}

export interface GroupMember {
  /** Source and id: unique among all instances. */
  readonly key: string
  readonly instance: Instance
  readonly wishes: Wishes
  /** Never leads back to this one: a circle is cut where it closes. */
  readonly dependsOn: readonly Dependency[]
  /** Others wait until it has ended well: once it has, it is not expected to run. */
  readonly isJob: boolean
}

export interface Groups {
  readonly byName: ReadonlyMap<string, Group>
  /** The group that a container belongs to, by its key. */
  readonly nameOf: ReadonlyMap<string, string>
  /** Every member of every group, by its key. */
  readonly members: ReadonlyMap<string, GroupMember>
}

/** Unique among all instances. */
export const keyOf = ({ source, id }: Pick<Instance, 'source' | 'id'>): string => `${source} ${id}`

/**
 * A pure function of the instances; the same array gets the same object. Where containers merely started, failed or moved
 * since the last call, only their groups are new objects.
 */
export function createGrouper(read: WishReader): (instances: readonly Instance[]) => Groups {
  let last: Round | undefined
  return (instances) => {
    if (last?.instances !== instances) {
      const groups = (last && amended(last, instances, read)) ?? makeGroups(instances, read)
      last = { instances, groups }
    }
    return last.groups
  }
}

interface Round {
  readonly instances: readonly Instance[]
  readonly groups: Groups
}

function makeGroups(instances: readonly Instance[], read: WishReader): Groups {
  const ordered = readMembers(instances, read)
  const byGroup = new Map<string, GroupMember[]>()
  const members = new Map(ordered.map((member) => [member.key, member]))
  const nameOf = new Map(ordered.map(({ key, wishes }) => [key, wishes.lifecycle.group]))
  for (const member of ordered) {
    const group = byGroup.get(member.wishes.lifecycle.group)
    if (group) group.push(member)
    else byGroup.set(member.wishes.lifecycle.group, [member])
  }
  const byName = new Map(
    [...byGroup].map(([name, found]) => [name, { name, members: found, needs: needsOf(name, found, nameOf) }]),
  )
  return { byName, nameOf, members }
}

/**
 * The last groups with only those members replaced that started, failed or moved: who belongs where and waits for whom
 * depends on none of that. Undefined: anything else has changed.
 */
function amended({ instances: before, groups }: Round, instances: readonly Instance[], read: WishReader) {
  if (before.length !== instances.length) return undefined
  const news: GroupMember[] = []
  for (const [index, instance] of instances.entries()) {
    const old = before[index]
    if (old === instance || old === undefined) continue
    const wishes = read(instance)
    const member = groups.members.get(keyOf(old))
    if (!wishes && !member) continue
    if (!wishes || !member || !belongsTheSame(member, wishes)) return undefined
    news.push({ ...member, instance, wishes })
  }
  return news.length === 0 ? groups : replaced(groups, news)
}

const belongsTheSame = ({ key, instance, wishes }: GroupMember, { instance: now, lifecycle }: Wishes): boolean =>
  key === keyOf(now) &&
  instance.name === now.name &&
  instance.createdAt === now.createdAt &&
  wishes.lifecycle.group === lifecycle.group &&
  sameCompose(instance, now)

function replaced({ byName, nameOf, members }: Groups, news: readonly GroupMember[]): Groups {
  const fresh = new Map(members)
  for (const member of news) fresh.set(member.key, member)
  const groups = new Map(byName)
  for (const name of new Set(news.map(({ wishes }) => wishes.lifecycle.group))) {
    const group = groups.get(name)
    if (group) groups.set(name, { ...group, members: group.members.map((member) => fresh.get(member.key) ?? member) })
  }
  return { byName: groups, nameOf, members: fresh }
}

/** Each after what it depends on; ties by age, then name. */
function readMembers(instances: readonly Instance[], read: WishReader): GroupMember[] {
  const found = instances.flatMap((instance) => {
    const wishes = read(instance)
    return wishes ? [{ key: keyOf(instance), instance, wishes }] : []
  })
  const keysOf = new Map<string, string[]>()
  for (const { key, instance } of found.sort(olderFirst)) {
    const service = serviceOf(instance)
    if (service === undefined) continue
    const same = keysOf.get(service)
    if (same) same.push(key)
    else keysOf.set(service, [key])
  }
  const byKey = new Map(found.map((member) => [member.key, member]))
  const dependsOn = withoutCircles(found.map(({ key, instance }) => [key, dependenciesOf(instance, keysOf)]))
  const jobs = jobsOf(dependsOn.values())
  return [...dependsOn].flatMap(([key, dependencies]) => {
    const member = byKey.get(key)
    return member ? [{ ...member, dependsOn: dependencies, isJob: jobs.has(key) }] : []
  })
}

function jobsOf(dependsOn: Iterable<readonly Dependency[]>): ReadonlySet<string> {
  const jobs = new Set<string>()
  for (const dependencies of dependsOn) {
    for (const { key, condition } of dependencies) if (condition === 'completed') jobs.add(key)
  }
  return jobs
}

const olderFirst = ({ instance: a }: Placed, { instance: b }: Placed): number =>
  a.createdAt - b.createdAt || compare(a.name, b.name) || compare(a.source, b.source) || compare(a.id, b.id)

type Placed = Pick<GroupMember, 'instance'>

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function needsOf(own: string, members: readonly GroupMember[], nameOf: ReadonlyMap<string, string>): string[] {
  const groups = members.flatMap(({ dependsOn }) => dependsOn.map(({ key }) => nameOf.get(key) ?? own))
  return [...new Set(groups)].filter((name) => name !== own).sort()
}
