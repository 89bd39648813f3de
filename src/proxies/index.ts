import type { Settings } from '../config/schema.js'
import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import { createHaproxy } from './haproxy/index.js'
import type { ProxyName } from './names.js'
import type { Proxy } from './proxy.js'
import { createTraefik } from './traefik/index.js'

export interface ProxyContext {
  readonly log: Logger
  readonly clock: Clock
  /** `publish`: only write files; another process makes the proxy use them. */
  readonly duty: 'drive' | 'publish'
}

export type ProxyFactory = (settings: Settings, context: ProxyContext) => Proxy

/** Every proxy, by the name that `proxy` takes. */
export const proxyFactories: Readonly<Record<ProxyName, ProxyFactory>> = {
  haproxy: createHaproxy,
  traefik: createTraefik,
}

export const createProxies = (settings: Settings, context: ProxyContext): Proxy[] =>
  settings.proxy.filter((name) => name !== 'none').map((name) => proxyFactories[name as ProxyName](settings, context))
