import { fields } from '../../lib/docker/fields.js'
import type { InstanceHealth, InstanceState } from '../../model/instance.js'

/** What an engine says of one container, whichever of its answers that was read from. */
export interface Container {
  readonly id: string
  /** Without the leading slash. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly state: InstanceState
  /** `none` unless it is running: the list does not tell it of any other. */
  readonly health: InstanceHealth
  /** Milliseconds since the epoch, in whole seconds: the list has no more. */
  readonly createdAt: number
  /** A network's name, `host`, `none` or `container:ID`; empty when the answer does not say. */
  readonly networkMode: string
  /** While it runs; sorted by network name. */
  readonly addresses: readonly ContainerAddress[]
  /** TCP only; ascending. */
  readonly ports: readonly ContainerPort[]
  /** False: there may be more ports (and more to say) than this answer tells. */
  readonly complete: boolean
  /** The whole answer to inspecting it, where that is kept: then what has none is not complete. */
  readonly inspect?: Readonly<Record<string, unknown>>
  /** How it is asked to stop; only inspecting tells. */
  readonly stop?: { readonly signal: number; readonly timeoutMs: number }
}

export interface ContainerAddress {
  readonly network: string
  readonly address: string
  /** Empty when there is none. */
  readonly gateway: string
}

export interface ContainerPort {
  readonly port: number
  /** Where the host listens for it now. */
  readonly bindings: readonly Binding[]
}

export interface Binding {
  /** Empty: every address of the host. */
  readonly address: string
  readonly port: number
}

/** `running` and `paused` have addresses and listeners. */
export const isUp = ({ state }: Pick<Container, 'state'>): boolean =>
  state === 'running' || state === 'paused' || state === 'stopping'

/** The container whose network this one uses; undefined when it has its own. */
export function joinedContainer({ networkMode }: Container): string | undefined {
  return networkMode.startsWith('container:') ? networkMode.slice('container:'.length) : undefined
}

/** What is known of a container that has just died, before anybody looked again. */
export function died(container: Container): Container {
  const ports = container.ports.map(({ port }) => ({ port, bindings: [] }))
  const inspect = container.inspect && deadOne(container.inspect)
  return { ...container, state: 'stopped', health: 'none', addresses: [], ports, ...(inspect && { inspect }) }
}

/** What is said of it until it has been inspected again. */
function deadOne(inspect: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const state = { ...fields(inspect['State']), Status: 'exited', Running: false, Paused: false }
  return { ...inspect, State: state, NetworkSettings: { ...fields(inspect['NetworkSettings']), Networks: {} } }
}

/**
 * The list's news laid over what was known before: a list tells no ports of what is not running, and Podman's tells
 * neither health nor network mode, nor ports that are not published.
 */
export function mergeListed(listed: Container, known: Container | undefined, podman: boolean): Container {
  // The same as what was inspected: then that still holds.
  if (known?.inspect && isAsListed(listed, known)) return known
  if (!known || listed.complete) return known?.stop ? { ...listed, stop: known.stop } : listed
  const ports = new Map(known.ports.map(({ port }) => [port, { port, bindings: [] as readonly Binding[] }]))
  for (const port of listed.ports) ports.set(port.port, port)
  return {
    ...listed,
    networkMode: listed.networkMode || known.networkMode,
    health: podman && listed.state === 'running' && known.state === 'running' ? known.health : listed.health,
    ports: [...ports.values()].sort((a, b) => a.port - b.port),
    complete: known.complete,
    ...(known.stop && { stop: known.stop }),
  }
}

/** As far as the list tells. */
const isAsListed = (listed: Container, known: Container): boolean =>
  listed.state === known.state &&
  listed.name === known.name &&
  (listed.state !== 'running' || listed.health === known.health || known.health === 'none') &&
  listed.addresses.length === known.addresses.length &&
  listed.addresses.every(({ network, address }, index) => {
    const other = known.addresses[index]
    return other?.network === network && other.address === address
  })
