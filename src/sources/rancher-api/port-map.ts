import type { RancherService } from '../../lib/rancher/shapes.js'

/** What the launch configurations of a service tell of its ports. */
export interface PortMap {
  /** TCP ports of its containers, whether published or not. */
  readonly exposed: readonly number[]
  /** It asks for at least one TCP port to be published. */
  readonly publishes: boolean
  /** Which TCP port of its containers a public port leads to; undefined: to none. */
  innerOf(outer: number): number | undefined
}

/**
 * Rancher gives a service its public ports when it is made and writes them into the launch configurations (`49153:80/tcp`);
 * only its older versions leave that to each host. Then a port is known where it is the only one, sidekicks' included; where
 * it cannot be told, the public port stands for both.
 */
export function readPortMap({ launchConfig, secondaryLaunchConfigs }: RancherService): PortMap {
  const published = (launchConfig?.ports ?? []).flatMap(parsed)
  const aside = secondaryLaunchConfigs.flatMap(({ ports }) => ports.flatMap(parsed))
  const tcp = published.filter(({ isTcp }) => isTcp)
  const mapped = new Map(tcp.flatMap(({ outer, inner }) => (outer === undefined ? [] : [[outer, inner]])))
  // One public port may carry both protocols.
  const others = new Set([...published.filter(({ isTcp }) => !isTcp), ...aside].map(({ outer }) => outer))
  const free = [...published, ...aside].filter(({ outer }) => outer === undefined)
  const ownFree = tcp.filter(({ outer }) => outer === undefined)
  const exposed = [...tcp, ...(launchConfig?.expose ?? []).flatMap(parsed).filter(({ isTcp }) => isTcp)]
  return {
    exposed: [...new Set(exposed.map(({ inner }) => inner))],
    publishes: tcp.length > 0,
    innerOf(outer) {
      const known = mapped.get(outer)
      if (known !== undefined || others.has(outer)) return known
      if (free.length === 1) return ownFree[0]?.inner
      return outer
    },
  }
}

interface Parsed {
  readonly inner: number
  readonly outer?: number
  readonly isTcp: boolean
}

/** `80`, `80/tcp`, `8080:80`, `10.0.0.8:8080:80/udp`. */
function parsed(text: string): Parsed[] {
  const match = /^(?:(?:[0-9a-fA-F.:[\]]*:)?(\d{1,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(text)
  const [outer, inner] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)]
  if (!isPort(inner)) return []
  return [{ inner, isTcp: match?.[3] !== 'udp', ...(isPort(outer) && { outer }) }]
}

export const isPort = (port: number | null | undefined): port is number =>
  port !== null && port !== undefined && port > 0 && port < 65_536
