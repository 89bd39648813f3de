import { compareText } from '../lib/compare.js'
import { createSorter } from '../lib/sorter.js'
import { amended } from './amend.js'
import { type Member, type MemberGroup, makeBackend } from './backend.js'
import { createClaims } from './claims.js'
import { createHolderReader, type Holder, isHolding, olderFirst } from './holder.js'
import type { Instance } from './instance.js'
import type { HostPattern } from './label-values.js'
import type { Backend, Plan, Rejection } from './plan.js'
import { createWishReader, type WishReader } from './reader.js'
import type { Kept, Round } from './round.js'
import { createRouteOrder } from './routes.js'
import type { LabelRules } from './wishes.js'

/**
 * Makes plans. The plan is a function of the instances and the rules alone; what is kept between two calls only saves
 * work: an instance that is the same object is not read again, a backend whose members did not change is the same object.
 */
export function createPlanner(
  rules: LabelRules,
  read: WishReader = createWishReader(rules),
): (instances: readonly Instance[]) => Plan {
  const holderOf = createHolderReader(read)
  const planAnew = createRoundMaker(rules)
  let last: Round | undefined
  return (instances) => {
    const present = instances.map(holderOf).filter((holder) => holder !== 'stranger')
    last = (last && amended(last, present, rules)) ?? planAnew(present, last?.kept ?? new Map())
    return last.plan
  }
}

function createRoundMaker(rules: LabelRules) {
  const byAge = createSorter(olderFirst)
  const order = createRouteOrder()
  return (present: readonly Holder[], before: ReadonlyMap<string, Kept>): Round => {
    const holding = byAge(present.filter(isHolding))
    const rejections = present.flatMap(({ wishes }) => wishes.rejections)
    const warnings = present.flatMap(({ wishes }) => wishes.warnings)
    const claims = createClaims(rules)
    const kept = new Map<string, Kept>()
    const backends: Backend[] = []
    for (const [key, members] of membersByGroup(holding)) {
      const { name, hosts, refused } = claims.take(members[0] as Member)
      for (const rejection of refused) rejections.push(rejection)
      if (hosts.length === 0) continue
      const entry = keptOrMade({ name, members }, hosts, before.get(key), rules)
      kept.set(key, entry)
      backends.push(entry.made.backend)
      rejections.push(...entry.made.rejections)
      warnings.push(...entry.made.warnings)
    }
    const complaints = { rejections: rejections.sort(byPlace), warnings: warnings.sort(byPlace) }
    return { present, youngest: holding.at(-1), claims, kept, plan: { ...order(backends), ...complaints } }
  }
}

/** In the order of their first holder. */
function membersByGroup(byAge: readonly Holder[]): Map<string, Member[]> {
  const groups = new Map<string, Member[]>()
  for (const { members } of byAge) {
    for (const member of members) {
      const group = groups.get(member.group)
      if (group) group.push(member)
      else groups.set(member.group, [member])
    }
  }
  return groups
}

function keptOrMade(
  group: MemberGroup,
  hosts: readonly HostPattern[],
  last: Kept | undefined,
  rules: LabelRules,
): Kept {
  const isSame =
    last?.made.backend.name === group.name && sameItems(last.hosts, hosts) && sameItems(last.members, group.members)
  return isSame ? last : { members: group.members, hosts, made: makeBackend(group, hosts, rules) }
}

const sameItems = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a === b || (a.length === b.length && a.every((item, index) => item === b[index]))

const byPlace = (a: Rejection, b: Rejection): number =>
  compareText(a.stack, b.stack) ||
  compareText(a.container, b.container) ||
  compareText(a.label, b.label) ||
  compareText(a.value, b.value)
