import { printable } from '../../lib/printable.js'
import { isLoopback, type Reachable, reachableFromElsewhere } from '../../model/announced.js'
import type { Instance } from '../../model/instance.js'

/** Where clients reach a port of a container. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly containerPort: number
  /** The address is that of the container's host, and not of the container, which may answer there with whatever it likes. */
  readonly isOfHost: boolean
}

/**
 * The instance as clients on other hosts reach it by one endpoint. A port that is published at a loopback address is nobody's
 * there: where no other address of this host is known, the container's own counts.
 * @param hostAddress where other hosts reach this host; empty: not
 */
export function reachableByEndpoints(instance: Instance, hostAddress: string): Reachable {
  const reachable = reachableFromElsewhere(instance, hostAddress)
  if (hostAddress !== '' || !instance.ports.some(isHidden)) return reachable
  const ports = instance.ports.map((exposed) => (isHidden(exposed) ? { port: exposed.port } : exposed))
  const isLost = instance.networks.length === 0 && ports.every(({ published }) => published === undefined)
  const trouble = `container ${printable(instance.name, 120)} can only be reached at a loopback address, which every host has of its own: set HOSTLER_ANNOUNCE_ADDRESS to that of this host`
  return { instance: { ...reachable.instance, ports }, ...(instance.state === 'running' && isLost && { trouble }) }
}

const isHidden = ({ published }: Instance['ports'][number]): boolean =>
  published !== undefined && isLoopback(published.address)

/** Each published port; without any, each exposed port at the container's own address. */
export function endpointsOf(instance: Instance): Endpoint[] {
  const published = instance.ports.flatMap(({ port }) => publishedAt(instance, port) ?? [])
  if (published.length > 0) return published
  return instance.ports.flatMap(({ port }) => ownAt(instance, port) ?? [])
}

/** Where one port of a container is reached; the port need not be among those that it says it exposes. */
export const endpointAt = (instance: Instance, port: number): Endpoint | undefined =>
  publishedAt(instance, port) ?? ownAt(instance, port)

function publishedAt({ ports }: Instance, containerPort: number): Endpoint | undefined {
  const published = ports.find(({ port }) => port === containerPort)?.published
  return published && { host: published.address, port: published.port, containerPort, isOfHost: true }
}

function ownAt({ networks }: Instance, containerPort: number): Endpoint | undefined {
  const network = networks.find(({ shared }) => shared) ?? networks[0]
  return network && { host: network.address, port: containerPort, containerPort, isOfHost: network.name === 'host' }
}
