import { z } from 'zod'
import type { ConsulClient } from '../../lib/consul/client.js'
import { HostlerError } from '../../lib/errors.js'
import { createLimit } from '../../lib/limit.js'
import { printable } from '../../lib/printable.js'

const namesSchema = z.record(z.string(), z.array(z.string()).nullable())
const entriesSchema = z.array(
  z.object({ Node: z.string(), Address: z.string(), ServiceTags: z.array(z.string()).nullable() }),
)
const membersSchema = z.array(z.object({ Name: z.string(), Addr: z.string() }))

export interface LeftoverNode {
  readonly name: string
  readonly address: string
}

export interface Leftovers {
  readonly nodes: readonly LeftoverNode[]
  /** One line each: why there may be more. */
  readonly troubles: readonly string[]
}

/**
 * The nodes on which a service carries one of these tags. Only members of the cluster count, at the address that they have there:
 * whoever may write a node into the catalog could have our token sent anywhere.
 */
export async function nodesWithTags(
  client: ConsulClient,
  tags: readonly string[],
  signal: AbortSignal,
): Promise<Leftovers> {
  const limited = createLimit(READS_AT_ONCE)
  const carries = (found: readonly string[] | null) => tags.some((tag) => found?.includes(tag))
  const namesNow = async () => {
    const services = await read(client, '/catalog/services', namesSchema, signal)
    return Object.entries(services).flatMap(([name, found]) => (carries(found) ? [name] : []))
  }
  const entriesOf = async (name: string) => {
    const path = `/catalog/service/${encodeURIComponent(name)}`
    const entries = await limited(() => read(client, path, entriesSchema, signal))
    return { name, nodes: entries.filter(({ ServiceTags }) => carries(ServiceTags)) }
  }
  const found = await Promise.all((await namesNow()).map(entriesOf))
  const nodes = new Map(found.flatMap((one) => one.nodes).map((node) => [node.Node, node.Address]))
  const empty = found.flatMap(({ name, nodes: [first] }) => (first ? [] : [name]))
  // One that has just gone is in neither list; one that is only hidden is still in the first.
  const still = empty.length > 0 ? new Set(await namesNow()) : new Set<string>()
  const hidden = empty.filter((name) => still.has(name)).map(notTold)
  if (nodes.size === 0) return { nodes: [], troubles: hidden }
  const members = await read(client, '/agent/members', membersSchema, signal)
  const addresses = new Map(members.map(({ Name, Addr }) => [Name, Addr]))
  const strange = [...nodes].filter(([name, address]) => addresses.get(name) !== address)
  return {
    nodes: [...nodes].flatMap(([name, address]) => (addresses.get(name) === address ? [{ name, address }] : [])),
    troubles: [...hidden, ...strange.map(([name, address]) => noMember(name, address))],
  }
}

const READS_AT_ONCE = 8

const notTold = (service: string): string =>
  `Consul has a service ${printable(service, 120)} with our cleanup tag and does not tell where; give CONSUL_HTTP_TOKEN the right to read nodes (node_prefix "": read), or what earlier runs have left there stays`

const noMember = (name: string, address: string): string =>
  `Consul's catalog has something with our cleanup tag on a node ${printable(name, 120)} at ${printable(address, 120)}, which is no member of the cluster there; it stays, for our token is not sent to strangers`

async function read<T>(client: ConsulClient, path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
  const { success, data, error } = schema.safeParse((await client.get(path, signal)).value)
  if (success) return data
  const [issue] = error.issues
  throw new HostlerError(
    'CONSUL_ANSWER',
    `Consul answers ${path} otherwise than known: ${issue?.path.join('.')}: ${issue?.message}`,
  )
}
