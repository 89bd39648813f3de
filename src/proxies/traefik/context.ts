import { createHash } from 'node:crypto'
import type { Settings } from '../../config/schema.js'
import type { Backend, Plan, Route, Server } from '../../model/plan.js'
import { priorityOf, ruleOf } from '../../model/traefik-rule.js'
import { publicAddress } from '../public-address.js'
import type { CertificateContext } from './certificates.js'
import { REVISION_TOKEN } from './revision.js'

/** What the templates in `templates/traefik` get. Every field is always there; what is not set is null. */
export interface TraefikContext {
  readonly domain: string
  /** Sorted by name; each has at least one route. */
  readonly backends: readonly BackendContext[]
  /** One for each path that some route cuts off. */
  readonly stripPaths: readonly StripPathContext[]
  /** The service for requests that are held until a stack is ready; null where there is no public port. */
  readonly public: { readonly service: string; readonly url: string } | null
  /** Leads whatever no route takes to the public port; empty unless containers are named by a cookie. */
  readonly fallback: readonly RouterContext[]
  /** The redirect to HTTPS; null when there is none. */
  readonly redirect: { readonly middleware: string; readonly permanent: boolean; readonly port: number | null } | null
  /** The servers transport for backends that speak TLS with a certificate of their own making; null without such. */
  readonly insecureTransport: string | null
  /** The certificates to serve. */
  readonly certificates: readonly CertificateContext[]
  readonly defaultCertificate: CertificateContext | null
  /** Replaced by a hash of all rendered files in the end: what Hostler asks Traefik for to see that it has them. */
  readonly revision: string
}

export interface StripPathContext {
  readonly middleware: string
  readonly path: string
}

export interface BackendContext {
  readonly name: string
  readonly stack: string
  readonly service: string
  readonly scheme: string
  /** The name of the cookie that keeps a client with its server; null when not sticky. */
  readonly stickyCookie: string | null
  readonly insecureTransport: string | null
  readonly healthCheck: HealthCheckContext | null
  readonly routers: readonly RouterContext[]
  /** Empty while none is ready: Traefik answers 503 then. */
  readonly servers: readonly ServerContext[]
}

export interface HealthCheckContext {
  readonly path: string
  /** The one status that counts as healthy; null for every 2xx and 3xx. */
  readonly status: number | null
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly port: number | null
  /** The Host header that the check sends. */
  readonly host: string
}

/** One route on plain HTTP or on TLS. */
export interface RouterContext {
  readonly name: string
  readonly rule: string
  /** Unique for each host; exact hosts stand above all wildcards. */
  readonly priority: number
  readonly service: string
  readonly entryPoints: readonly string[]
  readonly middlewares: readonly string[]
  readonly tls: { readonly certResolver: string | null } | null
  readonly host: string
  readonly wildcard: boolean
  readonly path: string
  readonly cookie: { readonly name: string; readonly value: string } | null
}

export interface ServerContext {
  readonly name: string
  /** Scheme, address (IPv6 in brackets) and port. */
  readonly url: string
  readonly weight: number | null
}

export type ContextSettings = Pick<Settings, 'domain' | 'https' | 'traefik' | 'public' | 'direct'>

const REDIRECT = 'hostler-https'
const INSECURE = 'hostler-insecure'
const PUBLIC = 'hostler-public'

/** Makes contexts; a backend that is the same object as last time gets the same context object. */
export function createContextMaker(settings: ContextSettings) {
  const known = new WeakMap<Backend, BackendContext>()
  const contextOf = (backend: Backend): BackendContext => {
    const context = known.get(backend) ?? backendContext(backend, settings)
    known.set(backend, context)
    return context
  }
  return (plan: Plan, certificates: readonly CertificateContext[]): TraefikContext => {
    const { domain, https } = settings
    const held = publicAddress(settings, false)
    const redirect = { middleware: REDIRECT, permanent: [301, 308].includes(https.redirectCode), port: portOf(https) }
    return {
      domain,
      backends: plan.backends.filter(({ routes }) => routes.length > 0).map(contextOf),
      stripPaths: stripPathsOf(plan.routes),
      public: held ? { service: PUBLIC, url: `http://${hostPort(held)}` } : null,
      fallback: held && settings.direct.cookieRouting ? fallbackRouters(settings) : [],
      redirect: https.redirect ? redirect : null,
      insecureTransport: plan.backends.some(({ scheme }) => scheme === 'https') ? INSECURE : null,
      certificates,
      defaultCertificate: certificates.find(({ isDefault }) => isDefault) ?? null,
      revision: REVISION_TOKEN,
    }
  }
}

const portOf = ({ port }: { port: number }): number | null => (port === 443 ? null : port)

function stripPathsOf(routes: readonly Route[]): StripPathContext[] {
  const paths = new Set(routes.filter(({ stripPath }) => stripPath).map(({ path }) => path))
  return [...paths].sort().map((path) => ({ middleware: stripName(path), path }))
}

const stripName = (path: string): string => `hostler-strip-${shortHash(path)}`
const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8)

function backendContext(backend: Backend, settings: ContextSettings): BackendContext {
  const { name, stack, service, scheme } = backend
  return {
    name,
    stack,
    service,
    scheme,
    stickyCookie: backend.sticky ? `hostler_${shortHash(name)}` : null,
    insecureTransport: scheme === 'https' ? INSECURE : null,
    healthCheck: healthCheckOf(backend),
    routers: backend.routes.flatMap((route, index) => routersOf(route, index, backend, settings)),
    servers: backend.servers.map((server) => serverContext(server, scheme)),
  }
}

function routersOf(
  route: Omit<Route, 'backend' | 'stack'>,
  index: number,
  { name, held }: Pick<Backend, 'name' | 'held'>,
  { https, traefik }: ContextSettings,
): RouterContext[] {
  const router = {
    name: index === 0 ? name : `${name}~${index + 1}`,
    rule: ruleOf(route),
    priority: priorityOf(route),
    // The public port gets the request as it came and leads it to the app itself.
    service: held ? PUBLIC : name,
    host: route.host,
    wildcard: route.wildcard,
    path: route.path,
    cookie: route.cookie,
  }
  const strip = route.stripPath && !held ? [stripName(route.path)] : []
  const middlewares = https.redirect ? [REDIRECT] : strip
  const plain = { ...router, entryPoints: traefik.entryPoints, middlewares, tls: null }
  if (!https.enabled) return [plain]
  const tls = { certResolver: traefik.certResolver || null }
  const secure = { ...router, name: `${router.name}~tls`, entryPoints: traefik.tlsEntryPoints, middlewares: strip, tls }
  return [plain, secure]
}

/** Below every route. */
const fallbackRouters = (settings: ContextSettings): RouterContext[] =>
  routersOf({ ...ANYTHING, priority: 1 }, 0, { name: PUBLIC, held: true }, settings)

const ANYTHING = { host: '*', wildcard: true, path: '/', stripPath: false, cookie: null }

function healthCheckOf({ healthCheck, routes }: Backend): HealthCheckContext | null {
  if (!healthCheck) return null
  const { path, intervalMs, timeoutMs } = healthCheck
  return {
    path,
    status: /^\d{3}$/.test(healthCheck.status) ? Number(healthCheck.status) : null,
    intervalMs,
    timeoutMs,
    port: healthCheck.port ?? null,
    host: routes[0]?.host.replace('*', 'check') ?? '',
  }
}

function serverContext({ name, address, port, weight }: Server, scheme: string): ServerContext {
  return { name, url: `${scheme}://${hostPort({ address, port })}`, weight: weight ?? null }
}

const hostPort = ({ address, port }: { address: string; port: number }): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port}`
