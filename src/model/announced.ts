import { isIP } from 'node:net'
import { z } from 'zod'
import { HostlerError } from '../lib/errors.js'
import type { Instance } from './instance.js'

/**
 * An instance as one Hostler tells another of it through a registry: JSON with the fields of `Instance`, save those that the
 * reader decides (`id`, `source`) and the engine's own words. Optional fields may come; an unknown one is ignored.
 */
export const encodeInstance = (instance: Instance): string => {
  const { id: _id, source: _source, inspect: _inspect, ...fields } = instance
  return JSON.stringify(fields)
}

const text = (max: number) => z.string().max(max)
const port = z.int().min(1).max(65_535)
const address = text(253).regex(/^[\w.:-]+$/)

const schema = z.object({
  name: text(256).min(1),
  stack: text(256).optional(),
  service: text(256).optional(),
  serverName: text(256).optional(),
  environment: text(256).optional(),
  labels: z.record(text(256), text(65_536)),
  state: z.enum(['running', 'paused', 'restarting', 'stopping', 'stopped']),
  health: z.enum(['none', 'starting', 'healthy', 'unhealthy']),
  createdAt: z.number().min(0),
  networks: z.array(z.object({ name: text(256), address, shared: z.boolean() })).max(64),
  ports: z.array(z.object({ port, published: z.object({ address, port }).optional() })).max(1024),
})

/** A registry is written to by others too: nothing of this text is believed before it was looked at. */
const MAX_LENGTH = 262_144

/** @throws HostlerError `ANNOUNCED` when the text is no announced instance */
export function decodeInstance(encoded: string, { id, source }: Pick<Instance, 'id' | 'source'>): Instance {
  if (encoded.length > MAX_LENGTH) throw wrong(id, `it is longer than ${MAX_LENGTH} characters`)
  const { data, error } = schema.safeParse(jsonOf(encoded))
  if (data) return { id, source, ...(data as Omit<Instance, 'id' | 'source'>) }
  const [issue] = error.issues
  throw wrong(id, `${issue?.path.join('.') || 'it'}: ${issue?.message}`)
}

const wrong = (id: string, reason: string) =>
  new HostlerError('ANNOUNCED', `what is announced as ${JSON.stringify(id.slice(0, 200))} is no instance: ${reason}`)

function jsonOf(encoded: string): unknown {
  try {
    return JSON.parse(encoded)
  } catch {
    return undefined
  }
}

/** The instance as other hosts can reach it, and why they cannot where that is so. */
export interface Reachable {
  readonly instance: Instance
  readonly trouble?: string
}

/**
 * With an address of this host, other hosts get there by published ports; without one, by the container's own addresses, for
 * networks that span hosts.
 * @param hostAddress where other hosts reach this host; empty: not
 */
export function reachableFromElsewhere(instance: Instance, hostAddress: string): Reachable {
  if (hostAddress === '') return { instance: { ...instance, networks: unshared(instance) } }
  const networks = instance.networks
    .filter(({ name }) => name === 'host')
    .map((network) => ({ ...network, address: hostAddress, shared: false }))
  const ports = instance.ports.map(({ port, published }) =>
    published && !isHidden(published.address, hostAddress) ? { port, published } : { port },
  )
  const isReachable = networks.length > 0 || ports.some(({ published }) => published !== undefined)
  const trouble = `container ${instance.name} publishes no port at ${hostAddress}; other hosts cannot reach it: publish one`
  return {
    instance: { ...instance, networks, ports },
    ...(instance.state === 'running' && !isReachable && { trouble }),
  }
}

/** Shared or not is a matter of who looks. */
const unshared = ({ networks }: Instance) => networks.map((network) => ({ ...network, shared: false }))

const isHidden = (published: string, hostAddress: string): boolean => isLoopback(published) && !isLoopback(hostAddress)

/** Of every host its own. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
