import { isIP } from 'node:net'
import type { Settings } from '../../config/schema.js'
import type { Backend, Plan, Route, Server } from '../../model/plan.js'
import type { PublicAddress } from '../public-address.js'
import { createLookup, type Lookup } from './lookup.js'

/** What the templates in `templates/haproxy` get. Every field is always there; what is not set is null. */
export interface HaproxyContext {
  readonly domain: string
  readonly http: { readonly bind: string; readonly port: number }
  readonly https: {
    readonly enabled: boolean
    readonly port: number
    readonly redirect: boolean
    readonly redirectCode: number
  }
  /** Where the rendered files will lie, by file name: `{{lookup files "domain.map"}}`. */
  readonly files: Readonly<Record<string, string>>
  /** The certificates to serve, the default one first. */
  readonly certificates: readonly CertificateContext[]
  readonly operator: OperatorSections
  readonly backends: readonly BackendContext[]
  /** In the order in which they are tried. */
  readonly routes: readonly Route[]
  readonly maps: Lookup
  /** The backend for requests that are held until a stack is ready; null where there is no public port. */
  readonly public: PublicContext | null
  /** Whether containers are routed to by name, and whether the public port answers where none is named. */
  readonly direct: { readonly enabled: boolean; readonly fallback: boolean }
  /** Names of empty backends that are loaded ahead of need, so that a new stack can be served without a reload. */
  readonly spares: readonly string[]
}

export interface PublicContext {
  readonly backend: string
  readonly address: string
  readonly port: number
  /** Whether the address is an IP address rather than a name. */
  readonly numeric: boolean
  /** How long an answer may take. */
  readonly timeoutMs: number
}

export interface CertificateContext {
  readonly path: string
  /** The host that the file is named for; null for one that serves by the names in it. */
  readonly host: string | null
}

/** What the operator's own haproxy.cfg already has. */
export interface OperatorSections {
  readonly frontends: boolean
  readonly sorry: boolean
}

export interface BackendContext {
  readonly name: string
  readonly stack: string
  readonly service: string
  readonly scheme: string
  readonly sticky: boolean
  readonly healthCheck: {
    readonly path: string
    readonly status: string
    readonly intervalMs: number
    readonly timeoutMs: number
    readonly port: number | null
    /** The Host header that the check sends. */
    readonly host: string
  } | null
  readonly routes: readonly Route[]
  /** The different path prefixes that are cut off, longest first. */
  readonly stripPaths: readonly string[]
  readonly servers: readonly ServerContext[]
}

export interface ServerContext {
  readonly name: string
  readonly address: string
  readonly port: number
  /** Whether the address is an IP address rather than a name. */
  readonly numeric: boolean
  readonly weight: number | null
  readonly maxconn: number | null
  /** `v1`, `v2`, `v2-ssl`, `v2-ssl-cn` or null. */
  readonly proxyProtocol: string | null
  readonly options: readonly string[]
}

export interface ContextInputs {
  readonly settings: Pick<Settings, 'domain' | 'http' | 'https' | 'direct'>
  readonly files: Readonly<Record<string, string>>
  readonly certificates: readonly CertificateContext[]
  readonly operator: OperatorSections
  readonly public: (PublicAddress & { readonly timeoutMs: number }) | undefined
  readonly spares: readonly string[]
}

/** Makes contexts; a backend that is the same object as last time gets the same context object. */
export function createContextMaker(): (plan: Plan, inputs: ContextInputs) => HaproxyContext {
  const backends = new WeakMap<Backend, BackendContext>()
  const contextOf = (backend: Backend): BackendContext => {
    const known = backends.get(backend) ?? backendContext(backend)
    backends.set(backend, known)
    return known
  }
  return (plan, { settings, public: held, ...inputs }) => ({
    domain: settings.domain,
    http: settings.http,
    https: settings.https,
    direct: {
      enabled: settings.direct.cookieRouting || settings.direct.pathRouting,
      fallback: settings.direct.cookieRouting && held !== undefined,
    },
    ...inputs,
    backends: plan.backends.map(contextOf),
    routes: plan.routes,
    maps: createLookup(held ? withHeld(plan) : plan.routes),
    public: held ? { ...held, backend: PUBLIC_BACKEND, numeric: isIP(held.address) !== 0 } : null,
  })
}

/** Reserved, so that no stack is called like it. */
const PUBLIC_BACKEND = 'hostler_public'

/** Backends keep their servers to themselves: what holds a request is chosen by the maps, so that waking changes no section. */
function withHeld({ backends, routes }: Plan): readonly Route[] {
  const held = new Set(backends.filter((backend) => backend.held).map(({ name }) => name))
  if (held.size === 0) return routes
  return routes.map((route) => (held.has(route.backend) ? { ...route, backend: PUBLIC_BACKEND } : route))
}

function backendContext({ waiting: _, group: __, held: ___, healthCheck, ...backend }: Backend): BackendContext {
  const stripped = backend.routes.filter(({ stripPath }) => stripPath).map(({ path }) => path)
  return {
    ...backend,
    healthCheck: healthCheck
      ? { ...healthCheck, port: healthCheck.port ?? null, host: backend.routes[0]?.host.replace('*', 'check') ?? '' }
      : null,
    stripPaths: [...new Set(stripped)].sort((a, b) => b.length - a.length),
    servers: backend.servers.map(serverContext),
  }
}

const serverContext = ({ instance: _, ...server }: Server): ServerContext => ({
  ...server,
  numeric: isIP(server.address) !== 0,
  weight: server.weight ?? null,
  maxconn: server.maxconn ?? null,
  proxyProtocol: server.proxyProtocol ?? null,
})
