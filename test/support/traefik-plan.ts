import { parse } from 'yaml'
import { type Settings, settingsSchema } from '../../src/config/schema.js'
import type { Backend, HealthCheck, Plan, Route, Server } from '../../src/model/plan.js'
import { createRouteOrder } from '../../src/model/routes.js'

/** A backend as a test writes it; everything but its name and hosts has a default. */
export interface BackendSketch {
  name: string
  scheme?: Backend['scheme']
  sticky?: boolean
  healthCheck?: Partial<HealthCheck>
  held?: boolean
  routes: { host: string; path?: string; stripPath?: boolean; cookie?: string; priority?: number }[]
  servers?: (Partial<Server> & { address: string; port: number })[]
}

export function planOf(sketches: readonly BackendSketch[]): Plan {
  return { ...createRouteOrder()(sketches.map(backendOf)), rejections: [], warnings: [] }
}

function backendOf({
  name,
  scheme = 'http',
  sticky = false,
  healthCheck,
  held = false,
  routes,
  servers = [],
}: BackendSketch): Backend {
  const check = { path: '/', status: '200-399', intervalMs: 5000, timeoutMs: 2000, ...healthCheck }
  return {
    name,
    stack: name,
    service: name,
    group: name,
    held,
    scheme,
    sticky,
    ...(healthCheck && { healthCheck: check }),
    routes: routes.map((route) => routeOf(route, name)),
    servers: servers.map((server, index) => ({ name: `s${index}`, options: [], instance: `s${index}`, ...server })),
    waiting: [],
  }
}

function routeOf(sketch: BackendSketch['routes'][number], backend: string): Route {
  const { host, path = '/', stripPath = false, cookie, priority = host.length } = sketch
  const [name = '', value = ''] = cookie?.split('=') ?? []
  const wildcard = host.startsWith('*')
  return {
    host,
    wildcard,
    path,
    stripPath,
    cookie: cookie ? { name, value } : null,
    priority,
    backend,
    stack: backend,
  }
}

/** Settings from what a test cares about, as one would write them in hostler.yml. */
export const settingsOf = (text = '{}'): Settings =>
  settingsSchema.parse({ domain: 'ci.example.com', public: { address: 'hostler:8000' }, ...parse(text) })
