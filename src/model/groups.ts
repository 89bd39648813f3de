import type { Instance } from './instance.js'
import type { WishReader } from './reader.js'
import type { Wishes } from './wishes.js'

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
  readonly dependsOn: readonly Dependency[]
}

/** What must be the case before the one that depends on it starts, in Compose's words without their prefix. */
export interface Dependency {
  /** The other's key; it may belong to another group. */
  readonly key: string
  readonly condition: 'started' | 'healthy' | 'completed'
}

export interface Groups {
  readonly byName: ReadonlyMap<string, Group>
  /** The group that a container belongs to, by its key. */
  readonly nameOf: ReadonlyMap<string, string>
}

/** Unique among all instances. */
export const keyOf = ({ source, id }: Pick<Instance, 'source' | 'id'>): string => `${source} ${id}`

/** A pure function of the instances; the same array gets the same object. */
export function createGrouper(read: WishReader): (instances: readonly Instance[]) => Groups {
  let last: { instances: readonly Instance[]; groups: Groups } | undefined
  return (instances) => {
    if (last?.instances !== instances) last = { instances, groups: makeGroups(instances, read) }
    return last.groups
  }
}

function makeGroups(instances: readonly Instance[], read: WishReader): Groups {
  const members = readMembers(instances, read)
  const nameOf = new Map(members.map(({ key, wishes }) => [key, wishes.lifecycle.group]))
  const byGroup = new Map<string, GroupMember[]>()
  for (const member of members) {
    const group = byGroup.get(member.wishes.lifecycle.group)
    if (group) group.push(member)
    else byGroup.set(member.wishes.lifecycle.group, [member])
  }
  const byName = new Map(
    [...byGroup].map(([name, found]) => [
      name,
      { name, members: startOrder(found), needs: needsOf(name, found, nameOf) },
    ]),
  )
  return { byName, nameOf }
}

const DEPENDS_ON = 'com.docker.compose.depends_on'
const PROJECT = 'com.docker.compose.project'
const SERVICE = 'com.docker.compose.service'

function readMembers(instances: readonly Instance[], read: WishReader): GroupMember[] {
  const found = instances.flatMap((instance) => {
    const wishes = read(instance)
    return wishes ? [{ key: keyOf(instance), instance, wishes }] : []
  })
  const ofService = new Map<string, string[]>()
  for (const { key, instance } of found) {
    const place = serviceKey(instance, instance.labels[SERVICE] ?? '')
    if (instance.labels[PROJECT] === undefined) continue
    const same = ofService.get(place)
    if (same) same.push(key)
    else ofService.set(place, [key])
  }
  return found.map((member) => ({ ...member, dependsOn: dependenciesOf(member.instance, ofService) }))
}

const serviceKey = ({ source, labels }: Instance, service: string): string =>
  `${source}\n${labels[PROJECT] ?? ''}\n${service}`

const CONDITIONS: Readonly<Record<string, Dependency['condition']>> = {
  service_started: 'started',
  service_healthy: 'healthy',
  service_completed_successfully: 'completed',
}

const NOTHING: readonly Dependency[] = []

/** Compose writes `db:service_healthy:false,cache:service_started:true`; the last word says whether to restart along. */
function dependenciesOf(instance: Instance, ofService: ReadonlyMap<string, readonly string[]>): readonly Dependency[] {
  const text = instance.labels[DEPENDS_ON]
  if (!text) return NOTHING
  return text.split(',').flatMap((entry) => {
    const [service = '', word = ''] = entry.trim().split(':')
    const condition = Object.hasOwn(CONDITIONS, word) ? CONDITIONS[word] : undefined
    return (ofService.get(serviceKey(instance, service)) ?? []).map((key) => ({
      key,
      condition: condition ?? 'started',
    }))
  })
}

/** Depth first, each after what it depends on; a circle is cut where it closes. Ties by age, then name. */
function startOrder(members: readonly GroupMember[]): GroupMember[] {
  const byKey = new Map(members.map((member) => [member.key, member]))
  const ordered: GroupMember[] = []
  const seen = new Set<string>()
  const visit = (member: GroupMember): void => {
    if (seen.has(member.key)) return
    seen.add(member.key)
    for (const { key } of member.dependsOn) {
      const other = byKey.get(key)
      if (other) visit(other)
    }
    ordered.push(member)
  }
  for (const member of [...members].sort(olderFirst)) visit(member)
  return ordered
}

const olderFirst = ({ instance: a }: GroupMember, { instance: b }: GroupMember): number =>
  a.createdAt - b.createdAt || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)

function needsOf(own: string, members: readonly GroupMember[], nameOf: ReadonlyMap<string, string>): string[] {
  const groups = members.flatMap(({ dependsOn }) => dependsOn.map(({ key }) => nameOf.get(key) ?? own))
  return [...new Set(groups)].filter((name) => name !== own).sort()
}
