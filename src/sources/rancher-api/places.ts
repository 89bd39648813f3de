import { isIP } from 'node:net'
import type { RancherService } from '../../lib/rancher/shapes.js'
import type { ExposedPort } from '../../model/instance.js'
import { isPort, readPortMap } from './port-map.js'

/** What is open at one address: of one container, where Rancher tells which. */
export interface Place {
  /** '' for a service without endpoints. */
  readonly address: string
  /** Another one for every container and address; '' for a service without endpoints. */
  readonly container: string
  readonly ports: readonly ExposedPort[]
}

/** Where a service's published ports are, by address and then by port; one place without an address where there are none. */
export function placesOf(service: RancherService): Place[] {
  const { exposed, innerOf } = readPortMap(service)
  const found = new Map<string, { address: string; ports: Map<number, ExposedPort> }>()
  for (const { ipAddress, port, instanceId } of service.publicEndpoints) {
    const address = ipAddress.replace(/[[\]]/g, '')
    const inner = isPort(port) && isIP(address) !== 0 ? innerOf(port) : undefined
    if (!isPort(port) || inner === undefined) continue
    const container = `${address}@${instanceId}`
    const place = found.get(container) ?? { address, ports: new Map<number, ExposedPort>() }
    found.set(container, place)
    if (!place.ports.has(inner)) place.ports.set(inner, { port: inner, published: { address, port } })
  }
  if (found.size === 0) found.set('', { address: '', ports: new Map() })
  return [...found]
    .map(([container, { address, ports }]): Place => {
      for (const port of exposed) if (!ports.has(port)) ports.set(port, { port })
      return { address, container, ports: [...ports.values()].sort((a, b) => a.port - b.port) }
    })
    .sort((a, b) => (a.address === b.address ? lowestPort(a) - lowestPort(b) : a.address < b.address ? -1 : 1))
}

/** The lowest public port. */
export const lowestPort = ({ ports }: Place): number =>
  Math.min(...ports.map(({ published }) => published?.port ?? 65_536))
