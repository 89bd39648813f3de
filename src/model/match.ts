import type { Backend, Plan, Route } from './plan.js'

/** What a route is chosen by, as the request has it. */
export interface Asked {
  /** The Host header; port, case and a dot at the end do not count. */
  readonly host: string
  /** As it was sent, percent-encoding and all, without the query. */
  readonly path: string
  /** The Cookie header. */
  readonly cookie?: string | undefined
}

export interface Match {
  readonly route: Route
  readonly backend: Backend
}

/**
 * Finds the route of a request exactly as the proxies do: the host itself before its wildcard (one label) before `*`, and among the
 * routes of a host the first in the plan's order. It takes as long for ten thousand routes as for one, wherever they lie:
 * on hosts of their own, or as paths and cookies of the same host. What it looks things up in is made anew only when the
 * plan has other routes; a plan in which an instance merely starts or fails has the same ones.
 */
export function createMatcher(): (plan: Plan, asked: Asked) => Match | undefined {
  let known: { readonly routes: readonly Route[]; readonly hosts: Map<string, HostRoutes> } | undefined
  return (plan, asked) => {
    if (known?.routes !== plan.routes) known = { routes: plan.routes, hosts: byHost(plan.routes) }
    const host = hostOf(asked.host)
    const wildcard = host.replace(/^[^.]+/, '*')
    const { hosts } = known
    const route = hosts.get(host)?.find(asked) ?? hosts.get(wildcard)?.find(asked) ?? hosts.get('*')?.find(asked)
    const backend = route && backendNamed(plan.backends, route.backend)
    return backend && { route, backend }
  }
}

/** No name is longer, dot and port included. */
const LONGEST_HOST = 253 + '.:65535'.length

/** The name in a Host header; nothing for one that cannot be a name. */
export function hostOf(header: string): string {
  if (header.length > LONGEST_HOST) return ''
  return header.toLowerCase().replace(/:\d*$/, '').replace(/\.+$/, '')
}

function byHost(routes: readonly Route[]): Map<string, HostRoutes> {
  const hosts = new Map<string, HostRoutes>()
  for (const route of routes) {
    const same = hosts.get(route.host)
    if (same) same.add(route)
    else hosts.set(route.host, new HostRoutes(route))
  }
  return hosts
}

/** The routes of one host. Nearly every host has a single one for all of it, which needs no table. */
class HostRoutes {
  private readonly routes: Route[]
  private table: Table | undefined

  constructor(first: Route) {
    this.routes = [first]
  }

  add(route: Route): void {
    this.routes.push(route)
  }

  find(asked: Asked): Route | undefined {
    const [only] = this.routes
    if (this.routes.length === 1 && only?.path === '/' && only.cookie === null) return only
    this.table ??= createTable(this.routes)
    return this.routes[first(this.table, asked)]
  }
}

interface Table {
  /** `NAME=VALUE`, or nothing for routes without a cookie → path → place in the order. */
  readonly byCookie: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly asksForCookies: boolean
  /** The most slashes that a path among them has. */
  readonly depth: number
}

function createTable(routes: readonly Route[]): Table {
  const byCookie = new Map<string, Map<string, number>>()
  let depth = 0
  for (const [place, { path, cookie }] of routes.entries()) {
    const key = cookie ? `${cookie.name}=${cookie.value}` : ''
    const places = byCookie.get(key) ?? new Map<string, number>()
    byCookie.set(key, places)
    if (!places.has(path)) places.set(path, place)
    if (path !== '/') depth = Math.max(depth, path.split('/').length - 1)
  }
  return { byCookie, depth, asksForCookies: routes.some(({ cookie }) => cookie !== null) }
}

/** The lowest place among the routes that match; past the end when there is none. */
function first({ byCookie, asksForCookies, depth }: Table, { path, cookie }: Asked): number {
  const keys = asksForCookies ? keysOf(cookie) : NO_COOKIES
  const tables = [...keys].flatMap((key) => byCookie.get(key) ?? [])
  let best = Number.POSITIVE_INFINITY
  for (const prefix of prefixes(path, depth)) {
    for (const places of tables) best = Math.min(best, places.get(prefix) ?? best)
  }
  return best
}

const NO_COOKIES: ReadonlySet<string> = new Set([''])

/** Each different `NAME=VALUE` of a Cookie header, and the empty text for routes that ask for none. */
const keysOf = (header = ''): ReadonlySet<string> => new Set(['', ...header.split(';').map((pair) => pair.trim())])

/** `/`, and the path cut off before each of its slashes and at its end. */
function* prefixes(path: string, depth: number): Generator<string> {
  yield '/'
  let end = 0
  for (let slashes = 0; slashes < depth && end < path.length; slashes++) {
    end = path.indexOf('/', end + 1)
    if (end === -1) end = path.length
    yield path.slice(0, end)
  }
}

/** The plan's backends are sorted by name. */
function backendNamed(backends: readonly Backend[], name: string): Backend | undefined {
  let low = 0
  let high = backends.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((backends[middle]?.name ?? '') < name) low = middle + 1
    else high = middle
  }
  const found = backends[low]
  return found?.name === name ? found : undefined
}
