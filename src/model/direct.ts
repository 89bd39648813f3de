import type { Instance } from './instance.js'
import { type HostPattern, readCookie, readHealthCheck, readPath, readPort } from './label-values.js'
import type { DirectRules, RouteWish } from './wishes.js'

/** Predecessor 2's containers: reached by their name in a cookie or in the path, whatever the host is. */

export const EVERY_HOST: HostPattern = { host: '*', wildcard: true }

/** What stands in for labels of ours that such a container does not have. */
export interface DirectWish {
  readonly path?: string
  readonly stripPath: boolean
  readonly cookie?: { readonly name: string; readonly value: string }
  readonly probe?: NonNullable<RouteWish['probe']>
}

export function readDirect(instance: Instance, rules: DirectRules): DirectWish {
  const { name, labels } = instance
  const prefix = rules.containerPrefix.replace(/^\/+|\/+$/g, '')
  const path = rules.pathRouting ? valueOf(readPath(`${prefix === '' ? '' : `/${prefix}`}/${name}`)) : undefined
  const cookie = rules.cookieRouting ? valueOf(readCookie(`${rules.cookieKey}=${name}`)) : undefined
  const probe = probeOf(instance, rules)
  return {
    stripPath: Object.keys(labels).some((label) => STRIPS.test(label)),
    ...(path !== undefined && { path }),
    // A path says it all where both are on.
    ...(cookie && path === undefined && { cookie }),
    ...(probe && { probe }),
  }
}

/** Its examples cut the name off with a middleware of Traefik's. */
const STRIPS = /^traefik\.http\.middlewares\.[^.]+\.(?:stripprefix|stripprefixregex|replacepathregex)\./i

const PORT = /^traefik\.http\.services\.[^.]+\.loadbalancer\.server\.port$/i

/** Where Traefik's label leads. */
export function traefikPort(labels: Readonly<Record<string, string>>): number | undefined {
  const label = Object.keys(labels).find((name) => PORT.test(name))
  return label === undefined ? undefined : valueOf(readPort(labels[label] ?? ''))
}

/** A URL that points elsewhere than the container itself is as good as none: we call nobody on its say-so. */
function probeOf({ name, labels, networks }: Instance, { checkStatus }: DirectRules): DirectWish['probe'] {
  const text = labels['health-check'] ?? labels['healthcheck']
  const own = [name.toLowerCase(), ...networks.map(({ address }) => address)]
  const check = text === undefined ? undefined : valueOf(readHealthCheck(text, own))
  return check && { ...check, status: checkStatus }
}

const valueOf = <T>(read: { readonly value: T } | object): T | undefined =>
  'value' in read ? (read.value as T) : undefined
