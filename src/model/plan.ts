/**
 * The plan: what the proxies shall do, computed from facts and settings alone. Same facts, same plan, byte for byte.
 * Every string in it has been validated for the place in a proxy's file where it may land.
 */
export interface Plan {
  /** Sorted by name. */
  readonly backends: readonly Backend[]
  /** Every (host, path, cookie) that leads somewhere, in the order in which they are tried. */
  readonly routes: readonly Route[]
  /** Labels that could not be honoured; the route they belong to is left out. */
  readonly rejections: readonly Rejection[]
  /** Labels that were honoured only in part; the route lives. */
  readonly warnings: readonly Rejection[]
}

/** What one service of one stack answers with. */
export interface Backend {
  /** `[A-Za-z0-9_.-]+`, unique in the plan. */
  readonly name: string
  readonly stack: string
  readonly service: string
  readonly scheme: Scheme
  readonly sticky: boolean
  readonly healthCheck?: HealthCheck
  /** The routes that lead here, in the order in which they are tried. */
  readonly routes: readonly Route[]
  /** What wakes and sleeps together with it. */
  readonly group: string
  /** No instance is ready, but one will be or can be: its requests go to the public port, which holds them until then. */
  readonly held: boolean
  /** Live instances, sorted by name; empty while none is ready. */
  readonly servers: readonly Server[]
  /** Every instance behind it that takes no traffic now, and why. */
  readonly waiting: readonly WaitingInstance[]
}

export type Scheme = 'http' | 'https' | 'h2c'

/** An active check that the proxy makes against each server. */
export interface HealthCheck {
  readonly path: string
  /** `200`, `200-399` or a comma list of those. */
  readonly status: string
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Only when it is not the traffic port. */
  readonly port?: number
}

export interface Server {
  /** `[A-Za-z0-9_.-]+`, unique in its backend. */
  readonly name: string
  readonly address: string
  readonly port: number
  readonly weight?: number
  readonly maxconn?: number
  readonly proxyProtocol?: ProxyProtocol
  /** Words of HAProxy's server line that came with the operator's proxy label, already checked against a list. */
  readonly options: readonly string[]
  /** The instance's name. */
  readonly instance: string
}

export type ProxyProtocol = 'v1' | 'v2' | 'v2-ssl' | 'v2-ssl-cn'

export interface WaitingInstance {
  readonly instance: string
  /** `asleep`, `starting`, `unhealthy`, `paused`, … */
  readonly reason: string
}

/** One host (or wildcard) with one path and maybe one cookie. */
export interface Route {
  /** Lower case; `*.example.com` matches exactly one more label, `*` every host. */
  readonly host: string
  readonly wildcard: boolean
  /** `/`, or a prefix without a trailing slash that matches whole segments: `/api` is `/api` and `/api/…`, not `/apix`. */
  readonly path: string
  readonly stripPath: boolean
  /** Must be present in the request; null for a route that asks for none. */
  readonly cookie: { readonly name: string; readonly value: string } | null
  /** 1 to 99999, higher first among the routes of one host. An exact host always comes before a wildcard, and that before `*`. */
  readonly priority: number
  readonly backend: string
  readonly stack: string
}

/** Why a label was not honoured, in words for the person who wrote it. */
export interface Rejection {
  readonly source: string
  /** The container's name. */
  readonly container: string
  readonly stack: string
  readonly label: string
  /** Shortened and made printable. */
  readonly value: string
  readonly reason: string
  readonly remedy: string
}
