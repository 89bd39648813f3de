import { isDeepStrictEqual } from 'node:util'
import type { Instance } from '../model/instance.js'
import type { HealthCheck } from '../model/plan.js'
import { reach, type Upstream } from '../model/reach.js'
import type { LabelRules, RouteWish, Wishes } from '../model/wishes.js'
import type { ProbeTarget } from './probe.js'

/** Each port that the routes of a live container lead to, once; empty while it has no address or no route. */
export function probeTargets(wishes: Wishes, rules: LabelRules): ProbeTarget[] {
  const targets: ProbeTarget[] = []
  for (const wish of wishes.routes) {
    const reached = reach(wishes, wish, rules)
    if (!('upstream' in reached)) continue
    const target = targetOf(wishes.instance, wish, reached.upstream)
    if (!targets.some((other) => isDeepStrictEqual(other, target))) targets.push(target)
  }
  return targets
}

function targetOf(instance: Instance, wish: RouteWish, upstream: Upstream): ProbeTarget {
  const { scheme, hosts, probe } = wish
  const healthCheck = wish.healthCheck ?? probe
  const forwarded = isForwarded(instance)
  const asked = healthCheck && checkedAt(instance, upstream, healthCheck)
  const check = asked && { path: healthCheck.path, status: healthCheck.status, host: hostOf(hosts[0]?.host) }
  // A check at a port of its own is not spoken to in the proxy protocol; HAProxy does the same.
  const proxied = wish.proxyProtocol && healthCheck?.port === undefined ? { proxyProtocol: wish.proxyProtocol } : {}
  const insists = check && healthCheck === probe ? { insists: true } : {}
  return { ...(asked ?? upstream), scheme, forwarded, ...proxied, ...(check && { check }), ...insists }
}

/** Nothing but published ports leads there. */
const isForwarded = ({ networks }: Instance): boolean => networks.length === 0

/** Where its health is asked; undefined when that port is not published while others are. */
function checkedAt(instance: Instance, upstream: Upstream, { port }: Pick<HealthCheck, 'port'>): Upstream | undefined {
  if (port === undefined) return upstream
  if (!isForwarded(instance)) return { address: upstream.address, port }
  return instance.ports.find((exposed) => exposed.port === port)?.published
}

/** As the proxies' own checks have it. */
const hostOf = (host = 'localhost'): string => host.replace('*', 'check')

export const sameTargets = (a: readonly ProbeTarget[], b: readonly ProbeTarget[]): boolean => isDeepStrictEqual(a, b)
