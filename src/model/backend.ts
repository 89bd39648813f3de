import { compareText } from '../lib/compare.js'
import { type Instance, isLive } from './instance.js'
import { type HostPattern, printable } from './label-values.js'
import { NameBook } from './names.js'
import type { Backend, Rejection, Server, WaitingInstance } from './plan.js'
import { createServer, reach } from './reach.js'
import { routeOf } from './routes.js'
import type { LabelRules, RouteWish, Wishes } from './wishes.js'

/** What one route of one instance brings to a backend. */
export interface Member {
  readonly wishes: Wishes
  readonly wish: RouteWish
  /** Stack, service and route: members with the same key make one backend. */
  readonly group: string
}

/** One service of one stack with one of its routes: what becomes a backend. */
export interface MemberGroup {
  readonly name: string
  /** Oldest first; the first one's wish is the group's. */
  readonly members: readonly Member[]
}

export interface MadeBackend {
  readonly backend: Backend
  readonly rejections: readonly Rejection[]
  readonly warnings: readonly Rejection[]
}

/** @param hosts those of the group's hosts that it may have */
export function makeBackend(group: MemberGroup, hosts: readonly HostPattern[], rules: LabelRules): MadeBackend {
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
    servers: servers.sort((a, b) => compareText(a.name, b.name)),
    waiting: waiting.sort((a, b) => compareText(a.instance, b.instance)),
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

/** They cannot share a backend: the older one's wish is the backend's. */
export const differs = (a: RouteWish, b: RouteWish): boolean => a !== b && shared(a) !== shared(b)

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
