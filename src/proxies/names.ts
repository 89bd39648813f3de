/** The names that `proxy` takes; `index.ts` holds a factory for each. */
export const PROXY_NAMES = ['haproxy', 'traefik'] as const
export type ProxyName = (typeof PROXY_NAMES)[number]
