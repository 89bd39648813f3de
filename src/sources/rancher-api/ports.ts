import { isIP } from 'node:net'
import type { RancherService } from '../../lib/rancher/shapes.js'
import type { ExposedPort } from '../../model/instance.js'

/** What is open at one address: of one container, where Rancher tells which. */
export interface Place {
  /** '' for a service without endpoints. */
  readonly address: string
  /** Unique among the places of a service: the address, with a port where several containers share it. */
  readonly key: string
  readonly ports: readonly ExposedPort[]
}

/**
 * Where a service's published ports are, by address. An endpoint tells the public port alone; which port of the container
 * that is stands in the launch configuration (`8080:80/tcp`), or is the only one there without a public port of its own.
 * Where it cannot be told, the public port stands for both.
 */
export function placesOf({ launchConfig, publicEndpoints }: RancherService): Place[] {
  const { mapped, free, udp, exposed } = readPorts(launchConfig)
  const containers = new Map<string, Map<number, ExposedPort>>()
  for (const { ipAddress, port, instanceId } of publicEndpoints) {
    const address = ipAddress.replace(/[[\]]/g, '')
    if (!isPort(port) || isIP(address) === 0 || udp.has(port)) continue
    const key = `${address} ${instanceId}`
    const found = containers.get(key) ?? new Map<number, ExposedPort>()
    containers.set(key, found)
    const inner = mapped.get(port) ?? (free.length === 1 ? free[0] : undefined) ?? port
    if (!found.has(inner)) found.set(inner, { port: inner, published: { address, port } })
  }
  const places = [...containers].map(([key, ports]) => toPlace(key.split(' ')[0] ?? '', ports, exposed))
  return places.length === 0 ? [toPlace('', new Map(), exposed)] : named(places)
}

function toPlace(address: string, ports: Map<number, ExposedPort>, exposed: readonly number[]): Place {
  for (const port of exposed) if (!ports.has(port)) ports.set(port, { port })
  return { address, key: address, ports: [...ports.values()].sort((a, b) => a.port - b.port) }
}

/** By address; several containers of one address by their lowest public port. */
function named(places: readonly Place[]): Place[] {
  const sorted = [...places].sort((a, b) =>
    a.address === b.address ? publicPort(a) - publicPort(b) : a.address < b.address ? -1 : 1,
  )
  return sorted.map((place, index) =>
    sorted[index - 1]?.address === place.address ? { ...place, key: `${place.address}:${publicPort(place)}` } : place,
  )
}

const publicPort = ({ ports }: Place): number => Math.min(...ports.map(({ published }) => published?.port ?? 65_536))

const isPort = (port: number | null | undefined): port is number =>
  port !== null && port !== undefined && port > 0 && port < 65_536

function readPorts(launchConfig: RancherService['launchConfig']) {
  const mapped = new Map<number, number>()
  const free: number[] = []
  const udp = new Set<number>()
  const exposed = new Set<number>()
  for (const text of [...(launchConfig?.ports ?? []), ...(launchConfig?.expose ?? [])]) {
    const match = /^(?:(?:[0-9a-fA-F.:[\]]*:)?(\d{1,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(text)
    if (!match) continue
    const [outer, inner] = [Number(match[1] ?? 0), Number(match[2])]
    if (match[3] === 'udp') udp.add(outer)
    else if (isPort(inner)) {
      exposed.add(inner)
      if (isPort(outer)) mapped.set(outer, inner)
      else if (launchConfig?.ports.includes(text)) free.push(inner)
    }
  }
  // One public port may carry both.
  for (const port of mapped.keys()) udp.delete(port)
  return { mapped, free, udp, exposed: [...exposed] }
}
