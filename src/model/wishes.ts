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
  readonly sleep: SleepRules
  readonly direct: DirectRules
}

/** Routes that name a single container rather than a host, for those that carry the label `origin=spawner`. */
export interface DirectRules {
  readonly cookieRouting: boolean
  readonly pathRouting: boolean
  readonly cookieKey: string
  readonly containerPrefix: string
  /** What their health check must answer: `200`, `200-399` or a comma list of those. */
  readonly checkStatus: string
  /** How long one may take to get ready before it is stopped again. */
  readonly patienceMs: number
}

/** The settings that labels of sleep and wake override. */
export interface SleepRules {
  /** There is a public port, so that requests for what is not ready need not be refused. */
  readonly holds: boolean
  /** The sources whose containers can be started: those with a runtime. */
  readonly sources: readonly string[]
  readonly wake: boolean
  /** 0: never. */
  readonly idleMs: number
  readonly onIdle: OnIdle
}

export type OnIdle = 'stop' | 'pause' | 'remove'

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
  /** Asked by us before it gets traffic, however long that takes, and not by the proxy later on. */
  readonly probe?: { readonly path: string; readonly port?: number; readonly status: string }
  readonly port: number
  readonly weight?: number
  readonly maxconn?: number
  readonly proxyProtocol?: ProxyProtocol
  readonly options: readonly string[]
}

/** Sleep and wake: what the labels say, and the settings where they say nothing. */
export interface Lifecycle {
  /** It may be started when a request comes, and put to sleep when none does. */
  readonly wake: boolean
  /** Idle time before sleep; 0: never. */
  readonly idleMs: number
  /** It is removed that long after its creation. */
  readonly maxAgeMs?: number
  readonly onIdle: OnIdle
  /** What wakes and sleeps together. */
  readonly group: string
  /** Asked before it is put to sleep: anything but 2xx means "not now". */
  readonly veto?: { readonly path: string; readonly port?: number }
  /** One that was started and is not ready after so long is stopped again. */
  readonly patienceMs?: number
}
