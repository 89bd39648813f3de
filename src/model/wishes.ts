import type { Instance } from './instance.js'
import type { HostPattern } from './label-values.js'
import type { HealthCheck, ProxyProtocol, Rejection, Scheme } from './plan.js'

/** The settings that decide how labels are read. */
export interface LabelRules {
  readonly domain: string
  readonly hostTemplate: string
  readonly labelPrefix: string
  readonly portLabel: string
  readonly proxyLabel: string
}

/** What one instance asks for with its labels. */
export interface Wishes {
  readonly instance: Instance
  readonly stack: string
  readonly service: string
  /** The Docker network to use; undefined leaves the choice to us. */
  readonly network?: string
  readonly routes: readonly RouteWish[]
  readonly lifecycle: Lifecycle
  readonly rejections: readonly Rejection[]
  readonly warnings: readonly Rejection[]
}

export interface RouteWish {
  /** Empty for the container's own route, NAME for `hostler.routes.NAME.*`. */
  readonly name: string
  readonly hosts: readonly HostPattern[]
  readonly path: string
  readonly stripPath: boolean
  readonly cookie?: { readonly name: string; readonly value: string }
  readonly priority?: number
  readonly scheme: Scheme
  readonly sticky: boolean
  readonly healthCheck?: HealthCheck
  readonly port: number
  readonly weight?: number
  readonly maxconn?: number
  readonly proxyProtocol?: ProxyProtocol
  readonly options: readonly string[]
}

/** Sleep and wake; undefined means "as the settings say". */
export interface Lifecycle {
  readonly wake?: boolean
  readonly idleMs?: number
  readonly maxAgeMs?: number
  readonly onIdle?: 'stop' | 'pause' | 'remove'
  readonly group?: string
}
