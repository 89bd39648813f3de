import { differenceOf } from '../lib/difference.js'
import { differs, type Member, makeBackend } from './backend.js'
import { type Holder, isHolding, olderFirst } from './holder.js'
import { keyOf } from './instance.js'
import type { HostPattern } from './label-values.js'
import type { Backend, Rejection, Route } from './plan.js'
import type { Kept, Round } from './round.js'
import { backendOrder, hostOrder } from './routes.js'
import type { LabelRules } from './wishes.js'

/** From here on, a plan anew is not much dearer. */
const MANY = 100

/**
 * The last round with only those backends made anew of which a member starts, fails, moves, goes or joins, and with new
 * ones of whoever is younger than all others. The names, hosts and routes of everybody else depend on none of that, and
 * with ten thousand instances they are what a plan costs. Undefined: anything else has changed, or there is something to
 * complain of.
 */
export function amended(last: Round, present: readonly Holder[], rules: LabelRules): Round | undefined {
  const news = newsOf(last.present, present)
  const groups = news && changedGroups(last, news)
  if (!news || !groups) return undefined
  const [backends, routes] = [[...last.plan.backends], [...last.plan.routes]]
  const entries = new Map<string, Kept>()
  for (const [key, { name, members, hosts }] of groups) {
    const before = last.kept.get(key)?.made
    const made = makeBackend({ name, members }, hosts, rules)
    if (hasComplaints(made) || (before && hasComplaints(before))) return undefined
    const backend = before ? { ...made.backend, routes: before.backend.routes } : made.backend
    entries.set(key, { members, hosts, made: { ...made, backend } })
    if (before) replace(backends, backend)
    else if (!insertBackend(backends, backend) || !insertRoutes(routes, backend.routes)) return undefined
  }
  for (const [key, entry] of entries) last.kept.set(key, entry)
  const isWider = routes.length > last.plan.routes.length
  const plan = { ...last.plan, backends, routes: isWider ? routes : last.plan.routes }
  return { ...last, present, youngest: news.comers.at(-1) ?? last.youngest, plan }
}

/** What is new of those who hold something. */
interface News {
  /** Which member takes the place of which. */
  readonly replaced: ReadonlyMap<Member, Member>
  readonly leavers: readonly Holder[]
  /** The oldest first. */
  readonly comers: readonly Holder[]
}

/** Undefined: a container's own claims have changed, or it is one to complain of. */
function newsOf(before: readonly Holder[], present: readonly Holder[]): News | undefined {
  const { gone, come } = differenceOf(before, present)
  if (gone.length + come.length > MANY) return undefined
  if ([...gone, ...come].some(({ wishes }) => hasComplaints(wishes))) return undefined
  const old = new Map(gone.filter(isHolding).map((holder) => [keyOf(holder.wishes.instance), holder]))
  const replaced = new Map<Member, Member>()
  const comers: Holder[] = []
  for (const holder of come.filter(isHolding)) {
    const key = keyOf(holder.wishes.instance)
    const its = old.get(key)
    old.delete(key)
    if (!its) comers.push(holder)
    else if (!claimTheSame(its, holder)) return undefined
    else for (const [place, member] of its.members.entries()) replaced.set(member, holder.members[place] as Member)
  }
  return { replaced, leavers: [...old.values()], comers: comers.sort(olderFirst) }
}

/** As far as others are concerned. */
const claimTheSame = (a: Holder, b: Holder): boolean =>
  olderFirst(a, b) === 0 &&
  a.members.length === b.members.length &&
  a.members.every(({ group, wish }, index) => {
    const other = b.members[index]
    return other !== undefined && group === other.group && !differs(wish, other.wish)
  })

interface ChangedGroup {
  readonly name: string
  readonly members: readonly Member[]
  readonly hosts: readonly HostPattern[]
}

/** Undefined: somebody else's names or hosts may depend on it. */
function changedGroups(last: Round, news: News): Map<string, ChangedGroup> | undefined {
  const changed = new Map<string, ChangedGroup>()
  const now = (key: string): ChangedGroup | undefined => {
    const kept = last.kept.get(key)
    return changed.get(key) ?? (kept && { ...kept, name: kept.made.backend.name })
  }
  for (const [old, member] of news.replaced) {
    const group = now(old.group)
    if (group) changed.set(old.group, { ...group, members: group.members.map((one) => (one === old ? member : one)) })
  }
  for (const leaving of news.leavers.flatMap(({ members }) => members)) {
    const group = now(leaving.group)
    // The oldest speaks for its group.
    if (!group || group.members[0] === leaving) return undefined
    changed.set(leaving.group, { ...group, members: group.members.filter((one) => one !== leaving) })
  }
  if (news.comers[0] && last.youngest && olderFirst(last.youngest, news.comers[0]) >= 0) return undefined
  for (const member of news.comers.flatMap(({ members }) => members)) {
    const group = now(member.group) ?? claimed(last, member)
    if (!group) return undefined
    changed.set(member.group, { ...group, members: [...group.members, member] })
  }
  return changed
}

function claimed({ claims }: Round, first: Member): ChangedGroup | undefined {
  if (claims.has(first.group)) return undefined
  const { name, hosts, refused } = claims.take(first)
  return refused.length > 0 ? undefined : { name, hosts, members: [] }
}

function replace(backends: Backend[], backend: Backend): void {
  const place = placeOf(backends, (other) => backendOrder(other, backend))
  // In the plan its routes may have been lifted above others of the same host.
  const lifted = backends[place]?.routes ?? backend.routes
  backends[place] = lifted === backend.routes ? backend : { ...backend, routes: lifted }
}

/** @returns whether there was none of this name */
function insertBackend(backends: Backend[], backend: Backend): boolean {
  const place = placeOf(backends, (other) => backendOrder(other, backend))
  if (backends[place]?.name === backend.name) return false
  backends.splice(place, 0, backend)
  return true
}

/** @returns whether their hosts had no route yet: else the priorities of all of a host's routes are settled together */
function insertRoutes(routes: Route[], own: readonly Route[]): boolean {
  for (const route of own) {
    const place = placeOf(routes, (other) => hostOrder(other.host, route.host))
    if (routes[place]?.host === route.host) return false
    routes.splice(place, 0, route)
  }
  return true
}

/** Where it is or belongs. @param order of an item of the list and what is looked for */
function placeOf<T>(sorted: readonly T[], order: (item: T) => number): number {
  let [from, to] = [0, sorted.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (order(sorted[middle] as T) < 0) from = middle + 1
    else to = middle
  }
  return from
}

const hasComplaints = (of: { readonly rejections: readonly Rejection[]; readonly warnings: readonly Rejection[] }) =>
  of.rejections.length + of.warnings.length > 0
