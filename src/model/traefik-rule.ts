import type { Route } from './plan.js'

/**
 * A route as a Traefik v3 rule. Hosts, paths and cookies of a plan hold no backtick and no backslash, so they can stand
 * between backticks as they are.
 */
export function ruleOf({ host, wildcard, path, cookie }: Pick<Route, 'host' | 'wildcard' | 'path' | 'cookie'>): string {
  // Host takes a request for `name.` too; HostRegexp sees the name in lower case and without its port.
  const terms =
    host === '*' ? [] : [wildcard ? `HostRegexp(\`^[^.]+${literal(host.slice(1))}\\.?$\`)` : `Host(\`${host}\`)`]
  // PathPrefix alone would let /api have /apix.
  if (path !== '/') terms.push(`(Path(\`${path}\`) || PathPrefix(\`${path}/\`))`)
  if (cookie) terms.push(`HeaderRegexp(\`Cookie\`, \`(?:^|;) *${literal(`${cookie.name}=${cookie.value}`)} *(?:;|$)\`)`)
  return terms.join(' && ') || 'PathPrefix(`/`)'
}

/** Traefik tries the highest number first, over all hosts; ours counts within one host, and exact hosts go first. */
export function priorityOf({ host, wildcard, priority }: Pick<Route, 'host' | 'wildcard' | 'priority'>): number {
  // Above the router for what no route takes.
  if (host === '*') return priority + 1
  return priority + (wildcard ? 100_000 : 200_000)
}

/** For Go's RE2 syntax. */
const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
