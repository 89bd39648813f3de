import { type Instance, isLive } from './instance.js'
import { printable } from './label-values.js'
import { readWishes, takesPart } from './labels.js'
import { NameBook, RESERVED_BACKENDS } from './names.js'
import type { Backend, Plan, Rejection, Route, Server, WaitingInstance } from './plan.js'
import { createServer, reach } from './reach.js'
import { HostBook, orderRoutes } from './routes.js'
import type { LabelRules, RouteWish, Wishes } from './wishes.js'

/**
 * Makes plans. The plan is a function of the instances and the rules alone; what is kept between two calls only saves
 * work: an instance that is the same object is not read again, a backend whose members did not change is the same object.
 */
export function createPlanner(rules: LabelRules): (instances: readonly Instance[]) => Plan {
  const wishes = new WeakMap<Instance, Wishes | 'stranger'>()
  let before: ReadonlyMap<string, Kept> = new Map()
  const wishesOf = (instance: Instance): Wishes | 'stranger' => {
    const known = wishes.get(instance)
    if (known !== undefined) return known
    const fresh = takesPart(instance.labels, rules) ? readWishes(instance, rules) : 'stranger'
    wishes.set(instance, fresh)
    return fresh
  }
  return (instances) => {
    const members = instances.map(wishesOf).filter((wish) => wish !== 'stranger')
    const { plan, kept } = makePlan(members, rules, before)
    before = kept
    return plan
  }
}

/** One service of one stack with one of its routes: what becomes a backend. */
interface Group {
  readonly key: string
  readonly name: string
  /** Oldest first; the first one's wish is the group's. */
  readonly members: readonly Member[]
}

interface Member {
  readonly wishes: Wishes
  readonly wish: RouteWish
}

/** A backend and what it was made from, so that the next plan can tell that nothing changed. */
interface Kept {
  readonly members: readonly Member[]
  readonly hosts: string
  readonly made: MadeBackend
}

interface MadeBackend {
  readonly backend: Backend
  readonly rejections: readonly Rejection[]
  readonly warnings: readonly Rejection[]
}

function makePlan(
  wishes: readonly Wishes[],
  rules: LabelRules,
  before: ReadonlyMap<string, Kept>,
): { plan: Plan; kept: ReadonlyMap<string, Kept> } {
  const rejections = wishes.flatMap((wish) => wish.rejections)
  const warnings = wishes.flatMap((wish) => wish.warnings)
  const hosts = new HostBook()
  const kept = new Map<string, Kept>()
  const backends: Backend[] = []
  for (const group of groupsOf(wishes)) {
    const { routes, refused } = hosts.claim(group.name, group.members[0] as Member, rules)
    rejections.push(...refused)
    if (routes.length === 0) continue
    const entry = keptOrMade(group, routes, before.get(group.name), rules)
    kept.set(group.name, entry)
    backends.push(entry.made.backend)
    rejections.push(...entry.made.rejections)
    warnings.push(...entry.made.warnings)
  }
  const settled = orderRoutes(backends)
  return { plan: { ...settled, rejections: rejections.sort(byPlace), warnings: warnings.sort(byPlace) }, kept }
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
function groupsOf(wishes: readonly Wishes[]): Group[] {
  const members = new Map<string, Member[]>()
  for (const holder of wishes.filter(({ instance }) => instance.state !== 'stopped').sort(byAge)) {
    for (const wish of holder.routes) {
      const key = `${holder.stack}\n${holder.service}\n${wish.name}`
      const group = members.get(key)
      if (group) group.push({ wishes: holder, wish })
      else members.set(key, [{ wishes: holder, wish }])
    }
  }
  const names = new NameBook(RESERVED_BACKENDS)
  const firstService = new Map<string, string>()
  return [...members].map(([key, group]) => {
    const [{ wishes: first, wish }] = group as [Member]
    const owner = firstService.get(first.stack) ?? first.service
    firstService.set(first.stack, owner)
    const parts = [
      first.stack,
      ...(owner === first.service ? [] : [first.service]),
      ...(wish.name === '' ? [] : [wish.name]),
    ]
    return { key, name: names.take(parts.join('-'), key), members: group }
  })
}

/** Creation time, then name: who was there first. */
const byAge = (a: Wishes, b: Wishes): number =>
  a.instance.createdAt - b.instance.createdAt ||
  compare(a.instance.name, b.instance.name) ||
  compare(a.instance.source, b.instance.source) ||
  compare(a.instance.id, b.instance.id)

function keptOrMade(group: Group, routes: readonly Route[], last: Kept | undefined, rules: LabelRules): Kept {
  const hosts = routes.map(({ host }) => host).join(' ')
  const same =
    last !== undefined &&
    last.hosts === hosts &&
    last.members.length === group.members.length &&
    last.members.every((member, index) => member.wish === group.members[index]?.wish)
  return same ? last : { members: group.members, hosts, made: makeBackend(group, routes, rules) }
}

function makeBackend(group: Group, routes: readonly Route[], rules: LabelRules): MadeBackend {
  const [{ wishes: holder, wish }] = group.members as [Member]
  const servers: Server[] = []
  const waiting: WaitingInstance[] = []
  const rejections: Rejection[] = []
  const warnings: Rejection[] = []
  const names = new NameBook()
  for (const member of group.members) {
    const { instance } = member.wishes
    if (differs(wish, member.wish)) warnings.push(disagreement(member, holder.instance, rules))
    const reached = isLive(instance) ? reach(member.wishes, member.wish, rules) : { waiting: stateOf(instance) }
    if ('upstream' in reached) {
      const name = names.take(instance.serverName ?? instance.name, `${instance.source} ${instance.id}`)
      servers.push(createServer(name, instance, member.wish, reached.upstream))
    } else {
      waiting.push({ instance: printable(instance.name), reason: reached.waiting })
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
    routes,
    servers: servers.sort((a, b) => compare(a.name, b.name)),
    waiting: waiting.sort((a, b) => compare(a.instance, b.instance)),
  }
  return { backend, rejections, warnings }
}

const stateOf = ({ state, health }: Instance): string => (state === 'running' ? health : state)

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
