/**
 * A fact: one container (or process) that a source has seen. Frozen in spirit; a source makes a new object when
 * anything changed and hands out the same object when nothing did, so identity means "unchanged" all the way down.
 */
export interface Instance {
  /** Unique within its source: a container id, a Rancher uuid, a name in the file. */
  readonly id: string
  /** Name of the source that reported it. */
  readonly source: string
  /** What people call it: the container's name. */
  readonly name: string
  /** Names that the source knows without looking at labels; labels may override them. */
  readonly stack?: string
  readonly service?: string
  /** What the proxy calls it, when that is not `name` (predecessor 1: `SERVICE-UUID`). */
  readonly serverName?: string
  readonly labels: Readonly<Record<string, string>>
  readonly state: InstanceState
  readonly health: InstanceHealth
  /** Milliseconds since the epoch; 0 when the source cannot tell. */
  readonly createdAt: number
  /** Addresses that the proxy can reach directly, sorted by network name; empty when only published ports lead there. */
  readonly networks: readonly NetworkAddress[]
  /** What the source groups stacks by, where it does: a Rancher environment. */
  readonly environment?: string
  /** The engine's whole answer about it, kept only where somebody asked for it. It holds secrets: never stored, never shown. */
  readonly inspect?: Readonly<Record<string, unknown>>
  /** TCP ports that the container exposes or publishes, ascending by container port. */
  readonly ports: readonly ExposedPort[]
}

/** `stopping`: still running, but told to stop. `stopped`: created, exited or dead. */
export type InstanceState = 'running' | 'paused' | 'restarting' | 'stopping' | 'stopped'

/** `none`: the container has no health check of its own. */
export type InstanceHealth = 'none' | 'starting' | 'healthy' | 'unhealthy'

export interface NetworkAddress {
  readonly name: string
  /** IPv4, IPv6 (without brackets) or a host name. */
  readonly address: string
  /** The proxy is attached to this network too. */
  readonly shared: boolean
}

export interface ExposedPort {
  readonly port: number
  /** Where the host listens for it, when it is published. */
  readonly published?: { readonly address: string; readonly port: number }
}

/** Takes traffic now: running, and healthy if it has a health check. */
export const isLive = (instance: Instance): boolean =>
  instance.state === 'running' && (instance.health === 'none' || instance.health === 'healthy')

/** Unique among all instances. */
export const keyOf = ({ source, id }: Pick<Instance, 'source' | 'id'>): string => `${source} ${id}`
