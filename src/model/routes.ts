import type { HostPattern } from './label-values.js'
import { printable } from './label-values.js'
import type { Backend, Rejection, Route } from './plan.js'
import type { LabelRules, RouteWish, Wishes } from './wishes.js'

/** Who holds which (host, path, cookie). The first one keeps it; everybody after is refused and told who has it. */
export class HostBook {
  private readonly holders = new Map<string, string>()

  claim(
    backend: string,
    { wishes, wish }: { wishes: Wishes; wish: RouteWish },
    rules: LabelRules,
  ): { routes: Route[]; refused: Rejection[] } {
    const routes: Route[] = []
    const refused: Rejection[] = []
    for (const pattern of wish.hosts) {
      const key = `${pattern.host} ${wish.path} ${wish.cookie ? `${wish.cookie.name}=${wish.cookie.value}` : ''}`
      const holder = this.holders.get(key)
      if (holder === undefined) {
        this.holders.set(key, wishes.instance.name)
        routes.push(routeOf(pattern, wish, backend, wishes.stack))
      } else {
        refused.push(taken(pattern, wish, wishes, holder, rules))
      }
    }
    return { routes, refused }
  }
}

function routeOf({ host, wildcard }: HostPattern, wish: RouteWish, backend: string, stack: string): Route {
  return {
    host,
    wildcard,
    path: wish.path,
    stripPath: wish.stripPath && wish.path !== '/',
    ...(wish.cookie && { cookie: wish.cookie }),
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
 * Puts routes into the order in which they are tried: exact hosts before wildcards; within one host by priority, a tie by
 * cookie, longer path, first holder. Ties are then lifted apart, so that priorities alone tell the order to any proxy.
 */
export function orderRoutes(backends: readonly Backend[]): { backends: Backend[]; routes: Route[] } {
  const byHost = new Map<string, Route[]>()
  for (const { routes } of backends) {
    for (const route of routes) {
      const same = byHost.get(route.host)
      if (same) same.push(route)
      else byHost.set(route.host, [route])
    }
  }
  const moved = new Map<Route, Route>()
  const routes: Route[] = []
  for (const host of [...byHost.keys()].sort(exactFirst)) {
    const ordered = liftTies((byHost.get(host) ?? []).sort(byPrecedence))
    for (const [route, lifted] of ordered) if (route !== lifted) moved.set(route, lifted)
    routes.push(...ordered.map(([, lifted]) => lifted))
  }
  return { routes, backends: backends.map((backend) => withRoutes(backend, moved)).sort(byName) }
}

const byName = (a: Backend, b: Backend): number => (a.name < b.name ? -1 : 1)

const exactFirst = (a: string, b: string): number =>
  Number(a.startsWith('*')) - Number(b.startsWith('*')) || (a < b ? -1 : a > b ? 1 : 0)

/** Array.sort is stable, so equal routes stay in the order of their holders. */
const byPrecedence = (a: Route, b: Route): number =>
  b.priority - a.priority ||
  Number(b.cookie !== undefined) - Number(a.cookie !== undefined) ||
  b.path.length - a.path.length

function liftTies(routes: readonly Route[]): [Route, Route][] {
  let floor = 0
  return routes
    .toReversed()
    .map((route): [Route, Route] => {
      floor = Math.max(route.priority, floor + 1)
      return [route, floor === route.priority ? route : { ...route, priority: floor }]
    })
    .reverse()
}

function withRoutes(backend: Backend, moved: ReadonlyMap<Route, Route>): Backend {
  if (moved.size === 0 || !backend.routes.some((route) => moved.has(route))) return backend
  return { ...backend, routes: backend.routes.map((route) => moved.get(route) ?? route) }
}
