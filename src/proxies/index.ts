import type { Settings } from '../config/schema.js'
import type { ProxyName } from './names.js'
import type { Proxy, ProxyContext } from './proxy.js'

export type ProxyFactory = (settings: Settings, context: ProxyContext) => Promise<Proxy>

/** Every proxy, by the name that `proxy` takes. One that is not asked for is not loaded. */
export const proxyFactories: Readonly<Record<ProxyName, ProxyFactory>> = {
  async haproxy(settings, context) {
    const { createHaproxy } = await import('./haproxy/index.js')
    return createHaproxy(settings, context)
  },
  async traefik(settings, context) {
    const { createTraefik } = await import('./traefik/index.js')
    return createTraefik(settings, context)
  },
}

export function createProxies(settings: Settings, context: ProxyContext): Promise<Proxy[]> {
  const names = settings.proxy.filter((name) => name !== 'none')
  return Promise.all(names.map((name) => proxyFactories[name as ProxyName](settings, context)))
}
