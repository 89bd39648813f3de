import { compareText } from '../lib/compare.js'
import { createSorter } from '../lib/sorter.js'
import { type HostPattern, printable } from './label-values.js'
import type { Backend, Rejection, Route } from './plan.js'
import type { LabelRules, RouteWish, Wishes } from './wishes.js'

/** Who holds which (host, path, cookie). The first one keeps it; everybody after is refused and told who has it. */
export class HostBook {
  private readonly holders = new Map<string, string>()

  constructor(private readonly rules: LabelRules) {}

  /** @returns the hosts that it may have; the wish's own list when that is all of them */
  claim({ wishes, wish }: { readonly wishes: Wishes; readonly wish: RouteWish }): Claimed {
    let granted: HostPattern[] | undefined
    let refused: Rejection[] = NOBODY
    for (const pattern of wish.hosts) {
      const key = claimKey(pattern, wish)
      const holder = this.holders.get(key)
      if (holder === undefined) {
        this.holders.set(key, wishes.instance.name)
        granted?.push(pattern)
      } else {
        granted ??= wish.hosts.slice(0, wish.hosts.indexOf(pattern))
        refused = [...refused, taken(pattern, wish, wishes, holder, this.rules)]
      }
    }
    return { hosts: granted ?? wish.hosts, refused }
  }
}

interface Claimed {
  readonly hosts: readonly HostPattern[]
  readonly refused: readonly Rejection[]
}

const NOBODY: Rejection[] = []

/** Most routes are the whole host: its name alone is their key. */
const claimKey = ({ host }: HostPattern, { path, cookie }: RouteWish): string =>
  path === '/' && !cookie ? host : `${host} ${path} ${cookie ? `${cookie.name}=${cookie.value}` : ''}`

export function routeOf({ host, wildcard }: HostPattern, wish: RouteWish, backend: string, stack: string): Route {
  return {
    host,
    wildcard,
    path: wish.path,
    stripPath: wish.stripPath && wish.path !== '/',
    cookie: wish.cookie ?? null,
    priority: wish.priority ?? ruleLength(host, wish),
    backend,
    stack: printable(stack),
  }
}

/** The default priority: the length of host, path and cookie, so that the more specific rule is tried first. */
function ruleLength(host: string, { path, cookie }: RouteWish): number {
  const cookieLength = cookie ? cookie.name.length + 1 + cookie.value.length : 0
  return host.length + (path === '/' ? 0 : path.length) + cookieLength
}

function taken({ host }: HostPattern, wish: RouteWish, wishes: Wishes, holder: string, rules: LabelRules): Rejection {
  const where = `${host}${wish.path === '/' ? '' : wish.path}`
  return {
    source: wishes.instance.source,
    container: printable(wishes.instance.name),
    stack: printable(wishes.stack),
    label: wish.name === '' ? `${rules.labelPrefix}.host` : `${rules.labelPrefix}.routes.${wish.name}.host`,
    value: where,
    reason: `${where} is held by ${printable(holder)}, which was there first`,
    remedy: 'choose another host or path; this one takes over when the holder is gone',
  }
}

/**
 * Puts routes into the order in which they are tried: exact hosts before wildcards before `*`; within one host by priority, a tie by
 * cookie, longer path, first holder. Ties are then lifted apart, so that priorities alone tell the order to any proxy.
 */
export function createRouteOrder(): (backends: readonly Backend[]) => { backends: Backend[]; routes: Route[] } {
  const sortHosts = createSorter(hostOrder)
  const sortBackends = createSorter(backendOrder)
  return (backends) => {
    const byHost = routesByHost(backends)
    const moved = new Map<Route, Route>()
    const routes: Route[] = []
    for (const host of sortHosts(byHost.keys())) {
      const found = byHost.get(host)
      if (!Array.isArray(found)) {
        if (found) routes.push(found)
        continue
      }
      settleTies(found.sort(byPrecedence), moved)
      for (const route of found) routes.push(moved.get(route) ?? route)
    }
    return { routes, backends: sortBackends(backends.map((backend) => withRoutes(backend, moved))) }
  }
}

/** Nearly every host has one route, which then stands for itself. */
function routesByHost(backends: readonly Backend[]): Map<string, Route | Route[]> {
  const byHost = new Map<string, Route | Route[]>()
  for (const { routes } of backends) {
    for (const route of routes) {
      const same = byHost.get(route.host)
      if (same === undefined) byHost.set(route.host, route)
      else if (Array.isArray(same)) same.push(route)
      else byHost.set(route.host, [same, route])
    }
  }
  return byHost
}

/** By name, which no two share. */
export const backendOrder = (a: Backend, b: Backend): number => compareText(a.name, b.name)

/** Exact hosts before wildcards before `*`. */
export const hostOrder = (a: string, b: string): number => width(a) - width(b) || compareText(a, b)

const width = (host: string): number => (host === '*' ? 2 : host.startsWith('*') ? 1 : 0)

/** Array.sort is stable, so equal routes stay in the order of their holders. */
const byPrecedence = (a: Route, b: Route): number =>
  b.priority - a.priority || Number(b.cookie !== null) - Number(a.cookie !== null) || b.path.length - a.path.length

/** @param routes of one host, the first to be tried first; those that have to be lifted go into `moved` */
function settleTies(routes: readonly Route[], moved: Map<Route, Route>): void {
  let floor = 0
  for (const route of routes.toReversed()) {
    floor = Math.max(route.priority, floor + 1)
    if (floor !== route.priority) moved.set(route, { ...route, priority: floor })
  }
}

function withRoutes(backend: Backend, moved: ReadonlyMap<Route, Route>): Backend {
  if (moved.size === 0 || !backend.routes.some((route) => moved.has(route))) return backend
  return { ...backend, routes: backend.routes.map((route) => moved.get(route) ?? route) }
}
