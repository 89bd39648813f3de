import type { Member } from './backend.js'
import type { HostPattern } from './label-values.js'
import { NameBook, RESERVED_BACKENDS, stackIdentity } from './names.js'
import type { Rejection } from './plan.js'
import { HostBook } from './routes.js'
import type { LabelRules } from './wishes.js'

/** Who is called what and holds which hosts. It fills as groups of members come, whoever was there first before the others. */
export interface Claims {
  /**
   * The name of its backend, and those of its hosts that nobody holds.
   * @param first of the group's members the oldest, who speaks for it
   */
  take(first: Member): { name: string; hosts: readonly HostPattern[]; refused: readonly Rejection[] }
  /** A group has been here, though it may have got no host. */
  has(group: string): boolean
}

export function createClaims(rules: LabelRules): Claims {
  const names = new NameBook(RESERVED_BACKENDS)
  const book = new HostBook(rules)
  const firstService = new Map<string, string>()
  const groups = new Set<string>()

  /** The first service of a stack is called like the stack, the others `stack-service`; a named route adds its name. */
  function nameOf({ wishes, wish, group }: Member): string {
    const stack = stackIdentity(wishes.stack, wishes.instance)
    const owner = firstService.get(stack) ?? wishes.service
    firstService.set(stack, owner)
    const service = owner === wishes.service ? '' : `-${wishes.service}`
    const route = wish.name === '' ? '' : `-${wish.name}`
    return names.take(`${wishes.stack}${service}${route}`, group)
  }

  return {
    take(first) {
      groups.add(first.group)
      return { name: nameOf(first), ...book.claim(first) }
    },
    has: (group) => groups.has(group),
  }
}
