import { createSorter } from '../lib/sorter.js'
import { type Instance, isLive } from './instance.js'
import { type HostPattern, printable } from './label-values.js'
import { NameBook, RESERVED_BACKENDS } from './names.js'
import type { Backend, Plan, Rejection, Server, WaitingInstance } from './plan.js'
import { createServer, reach } from './reach.js'
import { createWishReader, type WishReader } from './reader.js'
import { createRouteOrder, HostBook, routeOf } from './routes.js'
import type { LabelRules, RouteWish, Wishes } from './wishes.js'

/**
 * Makes plans. The plan is a function of the instances and the rules alone; what is kept between two calls only saves
 * work: an instance that is the same object is not read again, a backend whose members did not change is the same object.
 */
export function createPlanner(
  rules: LabelRules,
  read: WishReader = createWishReader(rules),
): (instances: readonly Instance[]) => Plan {
  const holders = new WeakMap<Instance, Holder | 'stranger'>()
  const byAge = createSorter(olderFirst)
  const order = createRouteOrder()
  let last: Round = { present: [], kept: new Map(), plan: NOTHING }
  const holderOf = (instance: Instance): Holder | 'stranger' => {
    const known = holders.get(instance)
    if (known !== undefined) return known
    const wishes = read(instance)
    const fresh = wishes ? toHolder(wishes) : 'stranger'
    holders.set(instance, fresh)
    return fresh
  }
  const planAnew = (present: readonly Holder[]): Round => {
    const { kept, ...made } = makeBackends(present, byAge(present.filter(isHolding)), rules, last.kept)
    const rejections = made.rejections.sort(byPlace)
    const warnings = made.warnings.sort(byPlace)
    return { present, kept, plan: { ...order(made.backends), rejections, warnings } }
  }
  return (instances) => {
    const present = instances.map(holderOf).filter((holder) => holder !== 'stranger')
    last = amended(last, present, rules) ?? planAnew(present)
    return last.plan
  }
}

const NOTHING: Plan = { backends: [], routes: [], rejections: [], warnings: [] }

/** What a plan was made from, and what the next one can take over. */
interface Round {
  readonly present: readonly Holder[]
  /** By what the members of a backend have in common. */
  readonly kept: Map<string, Kept>
  readonly plan: Plan
}

/** An instance that takes part, read once. */
interface Holder {
  readonly wishes: Wishes
  readonly members: readonly Member[]
}

/** What one route of one instance brings to a backend. */
export interface Member {
  readonly wishes: Wishes
  readonly wish: RouteWish
  /** Stack, service and route: members with the same key make one backend. */
  readonly group: string
}

const toHolder = (wishes: Wishes): Holder => ({
  wishes,
  members: wishes.routes.map((wish) => ({ wishes, wish, group: `${wishes.stack}\n${wishes.service}\n${wish.name}` })),
})

/** A stopped container holds no hostname, unless a request can start it. */
const isHolding = ({ wishes: { instance, lifecycle } }: Holder): boolean =>
  instance.state !== 'stopped' || lifecycle.wake

/** One service of one stack with one of its routes: what becomes a backend. */
interface Group {
  readonly name: string
  /** Oldest first; the first one's wish is the group's. */
  readonly members: readonly Member[]
}

/** A backend and what it was made from, so that the next plan can tell that nothing changed. */
interface Kept {
  readonly members: readonly Member[]
  readonly hosts: readonly HostPattern[]
  readonly made: MadeBackend
}

interface MadeBackend {
  readonly backend: Backend
  readonly rejections: readonly Rejection[]
  readonly warnings: readonly Rejection[]
}

interface MadeBackends {
  readonly backends: Backend[]
  readonly rejections: Rejection[]
  readonly warnings: Rejection[]
  readonly kept: Map<string, Kept>
}

function makeBackends(
  present: readonly Holder[],
  byAge: readonly Holder[],
  rules: LabelRules,
  before: ReadonlyMap<string, Kept>,
): MadeBackends {
  const rejections = present.flatMap(({ wishes }) => wishes.rejections)
  const warnings = present.flatMap(({ wishes }) => wishes.warnings)
  const book = new HostBook(rules)
  const kept = new Map<string, Kept>()
  const backends: Backend[] = []
  for (const group of groupsOf(byAge)) {
    const { hosts, refused } = book.claim(group.members[0] as Member)
    for (const rejection of refused) rejections.push(rejection)
    if (hosts.length === 0) continue
    const key = (group.members[0] as Member).group
    const entry = keptOrMade(group, hosts, before.get(key), rules)
    kept.set(key, entry)
    backends.push(entry.made.backend)
    rejections.push(...entry.made.rejections)
    warnings.push(...entry.made.warnings)
  }
  return { backends, rejections, warnings, kept }
}

const byPlace = (a: Rejection, b: Rejection): number =>
  compare(a.stack, b.stack) ||
  compare(a.container, b.container) ||
  compare(a.label, b.label) ||
  compare(a.value, b.value)

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/**
 * Groups in the order of their first holder, named as it comes: the first service of a stack is called like the stack,
 * the others `stack-service`; a named route adds its name.
 */
function groupsOf(byAge: readonly Holder[]): Group[] {
  const groups = new Map<string, Member[]>()
  for (const { members } of byAge) {
    for (const member of members) {
      const group = groups.get(member.group)
      if (group) group.push(member)
      else groups.set(member.group, [member])
    }
  }
  const names = new NameBook(RESERVED_BACKENDS)
  const firstService = new Map<string, string>()
  return [...groups.values()].map((members) => {
    const [{ wishes, wish, group }] = members as [Member]
    const owner = firstService.get(wishes.stack) ?? wishes.service
    firstService.set(wishes.stack, owner)
    const service = owner === wishes.service ? '' : `-${wishes.service}`
    const route = wish.name === '' ? '' : `-${wish.name}`
    return { name: names.take(`${wishes.stack}${service}${route}`, group), members }
  })
}

/** Creation time, then name: who was there first. */
const olderFirst = ({ wishes: { instance: a } }: Holder, { wishes: { instance: b } }: Holder): number =>
  a.createdAt - b.createdAt || compare(a.name, b.name) || compare(a.source, b.source) || compare(a.id, b.id)

function keptOrMade(group: Group, hosts: readonly HostPattern[], last: Kept | undefined, rules: LabelRules): Kept {
  const isSame =
    last?.made.backend.name === group.name && sameItems(last.hosts, hosts) && sameItems(last.members, group.members)
  return isSame ? last : { members: group.members, hosts, made: makeBackend(group, hosts, rules) }
}

const sameItems = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a === b || (a.length === b.length && a.every((item, index) => item === b[index]))

/** From here on, a plan anew is not much dearer. */
const MANY = 100

/**
 * The last round with only those backends made anew of which a member starts, fails or moves. Names, hosts and the order
 * of routes depend on none of that, and with ten thousand instances they are what a plan costs. Undefined: anything else
 * has changed, or there is something to complain of.
 */
function amended(last: Round, present: readonly Holder[], rules: LabelRules): Round | undefined {
  const news = newMembers(last.present, present)
  if (news === undefined || news.size > MANY) return undefined
  const backends = [...last.plan.backends]
  const changed = new Map<string, Kept>()
  for (const key of new Set([...news.keys()].map(({ group }) => group))) {
    const before = last.kept.get(key)
    if (before === undefined) continue
    const { name, routes } = before.made.backend
    const members = before.members.map((member) => news.get(member) ?? member)
    const made = makeBackend({ name, members }, before.hosts, rules)
    if (hasComplaints(before.made) || hasComplaints(made)) return undefined
    const backend = { ...made.backend, routes }
    changed.set(key, { members, hosts: before.hosts, made: { ...made, backend } })
    const place = backends.findIndex((other) => other.name === name)
    // In the plan its routes may have been lifted above others of the same host.
    const lifted = backends[place]?.routes ?? routes
    backends[place] = lifted === routes ? backend : { ...backend, routes: lifted }
  }
  for (const [key, entry] of changed) last.kept.set(key, entry)
  return { present, kept: last.kept, plan: { ...last.plan, backends } }
}

/** Which member takes the place of which; undefined when that is not all that is new. */
function newMembers(before: readonly Holder[], now: readonly Holder[]): Map<Member, Member> | undefined {
  const news = new Map<Member, Member>()
  for (const [index, holder] of now.entries()) {
    const old = before[index]
    if (old === holder) continue
    if (old === undefined || before.length !== now.length || !claimTheSame(old, holder)) return undefined
    for (const [place, member] of old.members.entries()) news.set(member, holder.members[place] as Member)
  }
  return before.length === now.length ? news : undefined
}

/** The same container with the same labels, as far as others are concerned. */
const claimTheSame = (a: Holder, b: Holder): boolean =>
  olderFirst(a, b) === 0 &&
  isHolding(a) === isHolding(b) &&
  !hasComplaints(a.wishes) &&
  !hasComplaints(b.wishes) &&
  a.members.length === b.members.length &&
  a.members.every(({ group, wish }, index) => {
    const other = b.members[index]
    return other !== undefined && group === other.group && !differs(wish, other.wish)
  })

const hasComplaints = ({ rejections, warnings }: Pick<Wishes, 'rejections' | 'warnings'>): boolean =>
  rejections.length + warnings.length > 0

function makeBackend(group: Group, hosts: readonly HostPattern[], rules: LabelRules): MadeBackend {
  const [{ wishes: holder, wish }] = group.members as [Member]
  const servers: Server[] = []
  const waiting: WaitingInstance[] = []
  const rejections: Rejection[] = []
  const warnings: Rejection[] = []
  const names = new NameBook()
  let held = false
  for (const member of group.members) {
    const { instance } = member.wishes
    if (differs(wish, member.wish)) warnings.push(disagreement(member, holder.instance, rules))
    const reached = isLive(instance) ? reach(member.wishes, member.wish, rules) : { waiting: stateOf(member.wishes) }
    if ('upstream' in reached) {
      const name = names.take(instance.serverName ?? instance.name, `${instance.source} ${instance.id}`)
      servers.push(createServer(name, instance, member.wish, reached.upstream))
    } else {
      waiting.push({ instance: printable(instance.name), reason: reached.waiting })
      held ||= member.wishes.lifecycle.wake || isComing(instance)
      if (reached.rejection) rejections.push(reached.rejection)
    }
  }
  const backend: Backend = {
    name: group.name,
    stack: printable(holder.stack),
    service: printable(holder.service),
    scheme: wish.scheme,
    sticky: wish.sticky,
    ...(wish.healthCheck && { healthCheck: wish.healthCheck }),
    routes: hosts.map((host) => routeOf(host, wish, group.name, holder.stack)),
    group: holder.lifecycle.group,
    held: held && servers.length === 0 && rules.sleep.holds,
    servers: servers.sort((a, b) => compare(a.name, b.name)),
    waiting: waiting.sort((a, b) => compare(a.instance, b.instance)),
  }
  return { backend, rejections, warnings }
}

const stateOf = ({ instance: { state, health }, lifecycle }: Wishes): string => {
  if (state === 'running') return health
  return state === 'stopped' && lifecycle.wake ? 'asleep' : state
}

/** It is on its way to taking traffic by itself. */
const isComing = ({ state, health }: Instance): boolean =>
  state === 'restarting' || (state === 'running' && health !== 'unhealthy')

/** What belongs to the whole backend rather than to one server of it. */
const shared = ({ hosts, path, stripPath, cookie, priority, scheme, sticky, healthCheck }: RouteWish): string =>
  JSON.stringify([hosts, path, stripPath, cookie, priority, scheme, sticky, healthCheck])

const differs = (a: RouteWish, b: RouteWish): boolean => a !== b && shared(a) !== shared(b)

function disagreement({ wishes, wish }: Member, holder: Instance, { labelPrefix }: LabelRules): Rejection {
  return {
    source: wishes.instance.source,
    container: printable(wishes.instance.name),
    stack: printable(wishes.stack),
    label: wish.name === '' ? `${labelPrefix}.*` : `${labelPrefix}.routes.${wish.name}.*`,
    value: '',
    reason: `its route differs from that of ${printable(holder.name)}, which was there first and speaks for the service`,
    remedy:
      'give every container of a service the same routing labels; this one takes over when the older ones are gone',
  }
}
