import { createHash } from 'node:crypto'
import { reachableFromElsewhere } from '../../../model/announced.js'
import { type Instance, isLive } from '../../../model/instance.js'
import type { Route } from '../../../model/plan.js'
import { reach } from '../../../model/reach.js'
import type { WishReader } from '../../../model/reader.js'
import { routeOf } from '../../../model/routes.js'
import { priorityOf, ruleOf } from '../../../model/traefik-rule.js'
import type { LabelRules, RouteWish, Wishes } from '../../../model/wishes.js'
import type { ContainerNodes } from './built-in.js'
import type { NodeText } from './policy.js'

export interface TraefikPolicySettings {
  readonly read: WishReader
  readonly rules: LabelRules
  readonly entryPoints: readonly string[]
  /** Empty: no TLS routers. */
  readonly tlsEntryPoints: readonly string[]
  readonly certResolver: string
  readonly address: string
}

/**
 * `traefik`: routers, services and servers where Traefik's etcd provider reads them. Every container of a stack writes the
 * same router and service, and a server of its own; the last one to go takes them along. Whether another stack, perhaps on
 * another host, asks for the same hostname is not known here.
 */
export const traefik = (settings: TraefikPolicySettings): ContainerNodes => ({
  name: 'traefik',
  prefix: () => '/traefik',
  nodes(instance) {
    const { instance: reachable } = reachableFromElsewhere(instance, settings.address)
    const wishes = isLive(instance) ? settings.read(reachable) : undefined
    return wishes ? wishes.routes.flatMap((wish) => routeNodes(reachable, wishes, wish, settings)) : []
  },
  trouble: (instance) =>
    settings.read(instance) ? reachableFromElsewhere(instance, settings.address).trouble : undefined,
})

function routeNodes(instance: Instance, wishes: Wishes, wish: RouteWish, settings: TraefikPolicySettings): NodeText[] {
  const reached = reach(wishes, wish, settings.rules)
  if (!('upstream' in reached)) return []
  const { address, port } = reached.upstream
  const name = nameOf(instance, [wishes.stack, wishes.service, ...(wish.name === '' ? [] : [wish.name])])
  const routes = wish.hosts.map((host) => routeOf(host, wish, name, wishes.stack))
  const host = address.includes(':') ? `[${address}]` : address
  const service = `${HTTP}/services/${name}/loadbalancer`
  const strips = wish.stripPath && wish.path !== '/'
  return [
    ...routes.flatMap((route, index) => routersOf(`${name}-${padded(index)}`, route, settings)),
    [`${service}/servers/${indexOf(instance)}/url`, `${wish.scheme}://${host}:${port}`],
    ...nodesIf(wish.sticky, [`${service}/sticky/cookie/name`, `hostler-${name}`]),
    ...nodesIf(strips, [`${HTTP}/middlewares/${stripOf(name)}/stripprefix/prefixes/00`, wish.path]),
  ]
}

const HTTP = '/traefik/http'

const nodesIf = (condition: boolean, ...nodes: NodeText[]): NodeText[] => (condition ? nodes : [])

const stripOf = (service: string): string => `${service}-strip`

function routersOf(
  name: string,
  route: Route,
  { entryPoints, tlsEntryPoints, certResolver }: TraefikPolicySettings,
): NodeText[] {
  const secure = `${name}-tls`
  const tls: NodeText =
    certResolver === ''
      ? [`${HTTP}/routers/${secure}/tls`, 'true']
      : [`${HTTP}/routers/${secure}/tls/certresolver`, certResolver]
  return [
    ...routerOf(name, route, entryPoints),
    ...(tlsEntryPoints.length > 0 ? [...routerOf(secure, route, tlsEntryPoints), tls] : []),
  ]
}

function routerOf(name: string, route: Route, entryPoints: readonly string[]): NodeText[] {
  const router = `${HTTP}/routers/${name}`
  return [
    [`${router}/rule`, ruleOf(route)],
    [`${router}/service`, route.backend],
    [`${router}/priority`, String(priorityOf(route))],
    ...entryPoints.map((point, index): NodeText => [`${router}/entrypoints/${padded(index)}`, point]),
    ...nodesIf(route.stripPath, [`${router}/middlewares/00`, stripOf(route.backend)]),
  ]
}

/** Traefik orders what is numbered by its text. */
const padded = (index: number): string => String(index).padStart(2, '0')

/** Hosts cannot agree on who is the first server: each container has a number of its own, always as long. */
const indexOf = ({ source, id }: Instance): string =>
  String(createHash('sha256').update(`${source} ${id}`).digest().readUIntBE(0, 6) % 1e12).padStart(12, '0')

/**
 * Another name for every other stack, service and route, fit for a key and for Traefik, which takes no `@` and may not tell
 * upper from lower case. Names are joined by `-`, so one within a name is doubled; three of them stand before the digits of a
 * hash where that is not enough: for other characters, and for stacks of an environment, where names are unique only within it.
 */
function nameOf({ environment }: Instance, names: readonly string[]): string {
  if (environment === undefined && names.every((name) => PLAIN.test(name)))
    return names.map((name) => name.replaceAll('-', '--')).join('-')
  const identity = JSON.stringify([environment ?? null, ...names])
  const readable = names
    .join('-')
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '-')
    .slice(0, 60)
  return `${readable}---${createHash('sha256').update(identity).digest('hex').slice(0, 16)}`
}

const PLAIN = /^(?=.{1,60}$)[a-z0-9_]+(?:-[a-z0-9_]+)*$/
