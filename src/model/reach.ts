import type { ExposedPort, Instance, NetworkAddress } from './instance.js'
import { isAddress, printable } from './label-values.js'
import type { Rejection, Server } from './plan.js'
import type { LabelRules, RouteWish, Wishes } from './wishes.js'

/** Where a proxy connects to. */
export interface Upstream {
  readonly address: string
  readonly port: number
}

export type Reached = { readonly upstream: Upstream } | { readonly waiting: string; readonly rejection?: Rejection }

/**
 * How the proxy reaches a live instance: the network that the label names; else one shared with the proxy; else the
 * first by name; else the published port. An instance in several networks so always gets the same one.
 */
export function reach(wishes: Wishes, wish: RouteWish, rules: LabelRules): Reached {
  const { instance, network } = wishes
  if (network !== undefined && instance.networks.length > 0) {
    const named = instance.networks.find(({ name }) => name === network)
    return named
      ? atNetwork(named, wish.port)
      : refuse(wishes, `${rules.labelPrefix}.network`, network, noSuchNetwork(instance))
  }
  const chosen = instance.networks.find(({ shared }) => shared) ?? instance.networks[0]
  if (chosen) return atNetwork(chosen, wish.port)
  const published = instance.ports.find(({ port }) => port === wish.port)?.published
  if (published) return { upstream: published }
  return hasPublished(instance.ports)
    ? refuse(wishes, `${rules.labelPrefix}.port`, String(wish.port), {
        reason: `the container publishes other ports only, and its own address cannot be reached`,
        remedy: `publish port ${wish.port}, or share a network with the proxy`,
      })
    : { waiting: 'no address yet' }
}

function atNetwork({ address }: NetworkAddress, port: number): Reached {
  return isAddress(address) ? { upstream: { address, port } } : { waiting: 'no address yet' }
}

const hasPublished = (ports: readonly ExposedPort[]): boolean => ports.some(({ published }) => published !== undefined)

const noSuchNetwork = ({ networks }: Instance) => ({
  reason: 'the container is not attached to that network',
  remedy: `name one of ${networks.map(({ name }) => printable(name)).join(', ')}`,
})

function refuse(wishes: Wishes, label: string, value: string, why: { reason: string; remedy: string }): Reached {
  const { source, name } = wishes.instance
  return {
    waiting: why.reason,
    rejection: { source, container: printable(name), stack: printable(wishes.stack), label, value, ...why },
  }
}

export function createServer(name: string, instance: Instance, wish: RouteWish, upstream: Upstream): Server {
  return {
    name,
    address: upstream.address,
    port: upstream.port,
    ...(wish.weight !== undefined && { weight: wish.weight }),
    ...(wish.maxconn !== undefined && { maxconn: wish.maxconn }),
    ...(wish.proxyProtocol && { proxyProtocol: wish.proxyProtocol }),
    options: wish.options,
    instance: printable(instance.name),
  }
}
