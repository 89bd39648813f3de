import type { Settings } from '../config/schema.js'
import { createHaproxy } from './haproxy/index.js'
import type { ProxyName } from './names.js'
import type { Proxy, ProxyContext } from './proxy.js'
import { createTraefik } from './traefik/index.js'

export type ProxyFactory = (settings: Settings, context: ProxyContext) => Proxy

/** Every proxy, by the name that `proxy` takes. */
export const proxyFactories: Readonly<Record<ProxyName, ProxyFactory>> = {
  haproxy: createHaproxy,
  traefik: createTraefik,
}

export const createProxies = (settings: Settings, context: ProxyContext): Proxy[] =>
  settings.proxy.filter((name) => name !== 'none').map((name) => proxyFactories[name as ProxyName](settings, context))
