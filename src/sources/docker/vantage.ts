import type { ExposedPort, Instance, NetworkAddress } from '../../model/instance.js'
import { type Container, type ContainerPort, isUp } from './container.js'

/** From where the proxy looks at the containers of one engine. */
export interface Vantage {
  /** Networks that the proxy is attached to. */
  readonly shared: ReadonlySet<string>
  /** The engine's host, as the proxy can reach it. */
  readonly hostAddress: string
  /** Which container addresses the proxy can reach: `all`, those on a `shared` network, or `none`. */
  readonly reachable: 'all' | 'shared' | 'none'
}

/** How the settings and the engine decide it. */
export interface VantageRules {
  readonly reach: 'auto' | 'network' | 'published'
  /** `docker.address`; empty: find out. */
  readonly address: string
  /** Host of a tcp endpoint; undefined for a local socket. */
  readonly remoteHost: string | undefined
  /** An engine without root keeps its networks in a namespace of its own. */
  readonly rootless: boolean
}

/** @param proxy the proxy's own container, when it runs in one of this engine */
export function createVantage(rules: VantageRules, proxy: Container | undefined): Vantage {
  const attached = proxy?.addresses ?? []
  const gateway = attached.find((address) => address.gateway !== '')?.gateway
  return {
    shared: new Set(attached.map(({ network }) => network)),
    hostAddress: rules.address || rules.remoteHost || gateway || '127.0.0.1',
    reachable: reachableOf(rules),
  }
}

export const sameVantage = (a: Vantage, b: Vantage): boolean =>
  a.hostAddress === b.hostAddress &&
  a.reachable === b.reachable &&
  a.shared.size === b.shared.size &&
  [...a.shared].every((network) => b.shared.has(network))

function reachableOf({ reach, remoteHost, rootless }: VantageRules): Vantage['reachable'] {
  if (reach !== 'auto') return reach === 'network' ? 'all' : 'none'
  if (remoteHost !== undefined) return 'none'
  return rootless ? 'shared' : 'all'
}

/**
 * The container as everybody else sees it.
 * @param joined the container whose network it uses, for `network_mode: container:ID`
 */
export function toInstance(container: Container, { source, vantage, joined, stopping }: InstanceContext): Instance {
  const { id, name, labels, health, createdAt } = container
  return {
    ...{ id, source, name, labels, health, createdAt },
    state: stopping ? 'stopping' : container.state,
    networks: networksOf(container, joined, vantage),
    ports: portsOf(container, joined).map((port) => toExposedPort(port, vantage)),
    ...(container.inspect && { inspect: container.inspect }),
  }
}

export interface InstanceContext {
  readonly source: string
  readonly vantage: Vantage
  readonly joined: Container | undefined
  readonly stopping: boolean
}

function networksOf(container: Container, joined: Container | undefined, vantage: Vantage): NetworkAddress[] {
  if (!isUp(container)) return []
  const owner = joined ?? container
  if (owner.networkMode === 'host') return [{ name: 'host', address: vantage.hostAddress, shared: true }]
  if (vantage.reachable === 'none') return []
  const all = owner.addresses.map(({ network, address }) => ({
    name: network,
    address,
    shared: vantage.shared.has(network),
  }))
  return vantage.reachable === 'all' ? all : all.filter(({ shared }) => shared)
}

/** What shares another's network is published by that one; it often names no ports itself. */
function portsOf(container: Container, joined: Container | undefined): readonly ContainerPort[] {
  if (!joined) return container.ports
  if (container.ports.length === 0) return isUp(container) ? joined.ports : []
  const bindings = new Map(isUp(container) ? joined.ports.map((port) => [port.port, port.bindings]) : [])
  return container.ports.map(({ port }) => ({ port, bindings: bindings.get(port) ?? [] }))
}

function toExposedPort({ port, bindings }: ContainerPort, { hostAddress }: Vantage): ExposedPort {
  const [first] = bindings
  return first ? { port, published: { address: first.address || hostAddress, port: first.port } } : { port }
}
