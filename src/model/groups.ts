import { compareText } from '../lib/compare.js'
import { differenceOf } from '../lib/difference.js'
import { createSorter } from '../lib/sorter.js'
import { type Dependency, dependenciesOf, projectOf, serviceOf, withoutCircles } from './dependencies.js'
import { type Instance, keyOf } from './instance.js'
import { createNeighbours, type Neighbours } from './neighbours.js'
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

/**
 * A pure function of the instances; the same array gets the same object. What is kept between two calls only saves work:
 * members and groups of which nothing changed are the same objects.
 */
export function createGrouper(read: WishReader): (instances: readonly Instance[]) => Groups {
  const entryOf = createEntryReader(read)
  const byAge = createSorter(olderFirst)
  let last: Round = { instances: [], groups: NO_GROUPS, neighbours: createNeighbours(circlesOf) }
  const groupAnew = (instances: readonly Instance[]): Round => {
    const entries = instances.map(entryOf).filter((entry) => entry !== 'stranger')
    const neighbours = createNeighbours(circlesOf)
    for (const entry of entries) neighbours.add(entry)
    return { instances, groups: grouped(byAge(entries), last.groups), neighbours }
  }
  return (instances) => {
    if (last.instances !== instances) last = amended(last, instances, entryOf) ?? groupAnew(instances)
    return last.groups
  }
}

const NO_GROUPS: Groups = { byName: new Map(), nameOf: new Map(), members: new Map() }

interface Round {
  readonly instances: readonly Instance[]
  readonly groups: Groups
  readonly neighbours: Neighbours<Entry>
}

/** An instance that takes part, read once. */
interface Entry {
  /** What it is while it depends on nobody and nobody waits for its end. */
  readonly member: GroupMember
  readonly project: string | undefined
  readonly service: string | undefined
}

type EntryReader = (instance: Instance) => Entry | 'stranger'

function createEntryReader(read: WishReader): EntryReader {
  const known = new WeakMap<Instance, Entry | 'stranger'>()
  return (instance) => {
    let entry = known.get(instance)
    if (entry === undefined) {
      const wishes = read(instance)
      entry = wishes
        ? {
            member: { key: keyOf(instance), instance, wishes, dependsOn: NOBODY, isJob: false },
            project: projectOf(instance),
            service: serviceOf(instance),
          }
        : 'stranger'
      known.set(instance, entry)
    }
    return entry
  }
}

const NOBODY: readonly Dependency[] = []

/** One group's members and one Compose project's containers may matter to each other, and nobody else. */
const circlesOf = ({ member, project }: Entry): string[] => {
  const group = `group ${member.wishes.lifecycle.group}`
  return project === undefined ? [group] : [group, `project ${project}`]
}

/** From here on, all of them anew is not much dearer. */
const MANY = 200

/** The last groups with only those made anew that what came or went may touch. Undefined: that is many. */
function amended(
  { instances: before, groups, neighbours }: Round,
  instances: readonly Instance[],
  entryOf: EntryReader,
) {
  const { gone, come } = differenceOf(before, instances)
  if (gone.length + come.length > MANY) return undefined
  const [left, joined] = [gone, come].map((some) => some.map(entryOf).filter((entry) => entry !== 'stranger'))
  if (!left || !joined || left.length + joined.length === 0) return { instances, groups, neighbours }
  const touched = neighbours.of([...left, ...joined])
  for (const entry of left) neighbours.delete(entry)
  for (const entry of joined) neighbours.add(entry)
  const now = neighbours.of([...touched, ...joined])
  if (now.size > MANY) return undefined
  return { instances, groups: replaced(groups, touched, grouped([...now].sort(olderFirst), groups)), neighbours }
}

function replaced(all: Groups, gone: Iterable<Entry>, come: Groups): Groups {
  const [byName, nameOf, members] = [new Map(all.byName), new Map(all.nameOf), new Map(all.members)]
  for (const { member } of gone) {
    byName.delete(member.wishes.lifecycle.group)
    nameOf.delete(member.key)
    members.delete(member.key)
  }
  for (const [name, group] of come.byName) byName.set(name, group)
  for (const [key, name] of come.nameOf) nameOf.set(key, name)
  for (const [key, member] of come.members) members.set(key, member)
  return { byName, nameOf, members }
}

/** @param before whose objects are taken over where they say the same */
const grouped = (byAge: readonly Entry[], before: Groups): Groups =>
  makeGroups(orderedMembers(byAge, before.members), before.byName)

/** Each after what it depends on; ties by age, then name. */
function orderedMembers(byAge: readonly Entry[], before: ReadonlyMap<string, GroupMember>): GroupMember[] {
  const keysOf = new Map<string, string[]>()
  for (const { member, service } of byAge) {
    if (service === undefined) continue
    const same = keysOf.get(service)
    if (same) same.push(member.key)
    else keysOf.set(service, [member.key])
  }
  const byKey = new Map(byAge.map(({ member }) => [member.key, member]))
  const wanted = byAge.map(({ member }) => [member.key, dependenciesOf(member.instance, keysOf)] as const)
  const jobs = jobsOf(wanted)
  return [...withoutCircles(wanted)].flatMap(([key, dependsOn]) => {
    const member = byKey.get(key)
    if (!member) return []
    const isJob = jobs.has(key)
    return [dependsOn.length === 0 && !isJob ? member : sameMember({ ...member, dependsOn, isJob }, before.get(key))]
  })
}

function jobsOf(wanted: Iterable<readonly [string, readonly Dependency[]]>): ReadonlySet<string> {
  const jobs = new Set<string>()
  for (const [, dependsOn] of wanted) {
    for (const { key, condition } of dependsOn) if (condition === 'completed') jobs.add(key)
  }
  return jobs
}

const sameMember = (now: GroupMember, before: GroupMember | undefined): GroupMember =>
  before?.instance === now.instance &&
  before.isJob === now.isJob &&
  before.dependsOn.length === now.dependsOn.length &&
  before.dependsOn.every(({ key, condition }, index) => {
    const other = now.dependsOn[index]
    return key === other?.key && condition === other.condition
  })
    ? before
    : now

function makeGroups(ordered: readonly GroupMember[], before: ReadonlyMap<string, Group>): Groups {
  const byGroup = new Map<string, GroupMember[]>()
  const members = new Map<string, GroupMember>()
  const nameOf = new Map<string, string>()
  for (const member of ordered) {
    const { group: name } = member.wishes.lifecycle
    members.set(member.key, member)
    nameOf.set(member.key, name)
    const group = byGroup.get(name)
    if (group) group.push(member)
    else byGroup.set(name, [member])
  }
  const byName = new Map<string, Group>()
  for (const [name, found] of byGroup) {
    byName.set(name, sameGroup({ name, members: found, needs: needsOf(name, found, nameOf) }, before.get(name)))
  }
  return { byName, nameOf, members }
}

const sameGroup = (now: Group, before: Group | undefined): Group =>
  before && sameItems(before.members, now.members) && sameItems(before.needs, now.needs) ? before : now

const sameItems = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((item, index) => item === b[index])

function needsOf(own: string, members: readonly GroupMember[], nameOf: ReadonlyMap<string, string>): readonly string[] {
  const needs = new Set<string>()
  for (const { dependsOn } of members) {
    for (const { key } of dependsOn) needs.add(nameOf.get(key) ?? own)
  }
  needs.delete(own)
  return needs.size === 0 ? NO_ONE : [...needs].sort()
}

const NO_ONE: readonly string[] = []

const olderFirst = ({ member: { instance: a } }: Entry, { member: { instance: b } }: Entry): number =>
  a.createdAt - b.createdAt || compareText(a.name, b.name) || compareText(a.source, b.source) || compareText(a.id, b.id)
