import { HostlerError } from '../lib/errors.js'
import { didYouMean } from '../lib/nearest.js'
import { printable } from '../lib/printable.js'
import type { Groups } from '../model/groups.js'

/**
 * The group that people mean by a name: a group or stack of that name, else the group of the container, else that of the
 * service, where there is only one such.
 * @throws HostlerError `NO_SUCH_GROUP`, `AMBIGUOUS`
 */
export function findGroup({ byName }: Groups, name: string): string {
  if (byName.has(name)) return name
  const found = { stack: new Set<string>(), container: new Set<string>(), service: new Set<string>() }
  for (const { name: group, members } of byName.values()) {
    for (const { instance, wishes } of members) {
      if (wishes.stack === name) found.stack.add(group)
      if (instance.name === name || (name.length >= 12 && instance.id.startsWith(name))) found.container.add(group)
      if (wishes.service === name) found.service.add(group)
    }
  }
  const groups = [found.stack, found.container, found.service].find(({ size }) => size > 0)
  if (groups === undefined) {
    const hint = didYouMean(name, [...byName.keys()])
    throw new HostlerError(
      'NO_SUCH_GROUP',
      `no stack, container or service is called "${printable(name, 100)}".${hint}`,
    )
  }
  const [only = '', ...others] = [...groups].sort()
  if (others.length === 0) return only
  const listed = [only, ...others].slice(0, 8).join(', ')
  throw new HostlerError('AMBIGUOUS', `"${printable(name, 100)}" is in several stacks: ${listed}. Name one of them.`)
}
