import type { Route } from '../../model/plan.js'

/**
 * Routes as HAProxy can look them up in constant time, however many there are. For one request it asks, first with the
 * exact host, then with the host's first label replaced by `*`, then (where routes name containers) with `*` alone:
 * 1. `cookies`, once for each cookie name in use: longest prefix of `NAME=VALUE|HOST/PATH/`
 * 2. `paths`: longest prefix of `HOST/PATH/`
 * 3. `domains`: `HOST`
 * The first answer wins. Priorities are settled here, so that this order gives what trying every route in the plan's order
 * would give. Only a request that carries two cookies which both lead somewhere is decided by the cookies' names' order.
 */
export interface Lookup {
  readonly domains: readonly Route[]
  readonly paths: readonly Entry[]
  readonly cookies: readonly Entry[]
  /** In the order in which they are asked for. */
  readonly cookieNames: readonly string[]
}

export interface Entry {
  readonly key: string
  readonly backend: string
}

/** @param routes in the plan's order: hosts together, the first that matches wins */
export function createLookup(routes: readonly Route[]): Lookup {
  const domains: Route[] = []
  const paths: Entry[] = []
  const cookies: Entry[] = []
  const add = (route: Route) => {
    if (route.path === '/') domains.push(route)
    else paths.push({ key: pathKey(route), backend: route.backend })
  }
  for (let start = 0, end = 0; start < routes.length; start = end) {
    const first = routes[start] as Route
    for (end = start + 1; routes[end]?.host === first.host; ) end++
    if (end === start + 1 && first.cookie === null) {
      add(first)
      continue
    }
    const ofHost = routes.slice(start, end)
    for (const route of reachable(ofHost.filter(({ cookie }) => cookie === null))) add(route)
    for (const cookie of cookiesOf(ofHost)) {
      for (const route of reachable(ofHost.filter((other) => other.cookie === null || pair(other) === cookie))) {
        cookies.push({ key: `${cookie}|${pathKey(route)}`, backend: route.backend })
      }
    }
  }
  return { domains, paths, cookies, cookieNames: cookieNames(routes) }
}

/** A trailing slash on both sides makes a prefix match whole segments only. */
const pathKey = ({ host, path }: Route): string => `${host}${path === '/' ? '' : path}/`

const pair = ({ cookie }: Route): string => (cookie ? `${cookie.name}=${cookie.value}` : '')

const cookiesOf = (routes: readonly Route[]): Set<string> => new Set(routes.map(pair).filter((text) => text !== ''))

/** Leaves out routes that an earlier one with a shorter path hides: a longest-prefix look-up would prefer them. */
function reachable(routes: readonly Route[]): Route[] {
  const kept: Route[] = []
  for (const route of routes) {
    if (!kept.some((earlier) => isUnder(route.path, earlier.path))) kept.push(route)
  }
  return kept
}

const isUnder = (path: string, prefix: string): boolean =>
  prefix === '/' || path === prefix || path.startsWith(`${prefix}/`)

function cookieNames(routes: readonly Route[]): string[] {
  const highest = new Map<string, number>()
  for (const { cookie, priority } of routes) {
    if (cookie) highest.set(cookie.name, Math.max(priority, highest.get(cookie.name) ?? 0))
  }
  return [...highest].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).map(([name]) => name)
}
