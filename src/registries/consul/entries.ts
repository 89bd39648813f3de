import { createHash } from 'node:crypto'
import { ANNOUNCER, FINGERPRINT, heartbeatId, INSTANCE, idWord, toChunks } from '../../lib/consul/meta.js'
import { encodeInstance } from '../../model/announced.js'
import { type Instance, isLive, keyOf } from '../../model/instance.js'
import { type Complaint, isAddress, printable } from '../../model/label-values.js'
import { namesOf } from '../../model/names.js'
import { hasRanconLabel } from '../../model/rancon.js'
import type { WishReader } from '../../model/reader.js'
import type { LabelRules } from '../../model/wishes.js'
import type { AddressTemplate } from './address.js'
import { type AgentCheck, checkOfRoute, checksOfLabels } from './checks.js'
import { type Endpoint, endpointAt, endpointsOf, reachableByEndpoints } from './endpoints.js'
import { type Fields, fieldsOf, fill, type Named } from './fields.js'
import { cleanupTag } from './ownership.js'

/** A service as an agent's API takes it. */
export interface AgentService {
  readonly ID: string
  readonly Name: string
  readonly Address: string
  readonly Port: number
  readonly Tags: readonly string[]
  readonly Meta: Readonly<Record<string, string>>
  readonly Checks: readonly AgentCheck[]
}

/** What shall be in Consul for one endpoint of one container. */
export interface Entry {
  /** Of the agent that it is announced to. */
  readonly url: string
  readonly service: AgentService
  /** For whoever reads of it. */
  readonly container: string
}

/** What one container asks for. */
export interface Asked {
  readonly entries: readonly Entry[]
  /** One line each. */
  readonly troubles: readonly string[]
  /** Not all that it asks for is known: what is announced of it already stays. */
  readonly isPartial: boolean
}

export interface EntryRules {
  readonly template: AddressTemplate
  readonly idSchema: string
  readonly nameScheme: string
  readonly cleanupId: string
  readonly tag: string
  /** What is written with another token is written again: an agent speaks of a service with the token that it came with. */
  readonly token: string
  readonly announcer: string
  /** Where other hosts reach this host; empty: not. */
  readonly hostAddress: string
  /** 0: what is announced stays healthy for ever. */
  readonly leaseMs: number
  readonly rules: LabelRules
  readonly read: WishReader
}

const NOTHING: Asked = { entries: [], troubles: [], isPartial: false }

/** Pure: the same instance asks for the same. One that is stopped asks for nothing. */
export function askedBy(instance: Instance, rules: EntryRules): Asked {
  if (instance.state === 'stopped') return NOTHING
  const isRancon = hasRanconLabel(instance.labels)
  const wishes = rules.read(instance)
  if (!isRancon && (!wishes || wishes.routes.length === 0)) return NOTHING
  return new Asking(wishes ?? { instance, ...namesOf(instance) }, rules).ask(isRancon, wishes?.routes ?? [])
}

type Routes = NonNullable<ReturnType<WishReader>>['routes']

/** Reads one container's labels and collects its entries and troubles on the way. */
class Asking {
  private readonly troubles: string[] = []
  private isPartial = false
  private readonly instance: Instance
  private readonly reachable: Instance

  constructor(
    private readonly named: Named,
    private readonly rules: EntryRules,
  ) {
    this.instance = named.instance
    const { instance: reachable, trouble } = reachableByEndpoints(this.instance, rules.hostAddress)
    this.reachable = reachable
    if (trouble !== undefined) this.troubles.push(trouble)
  }

  ask(isRancon: boolean, routes: Routes): Asked {
    const shared = routes.length > 0 ? this.sharedMeta() : undefined
    const endpoints = new Map<string, Endpoint>()
    const wanted = [
      ...(isRancon ? endpointsOf(this.reachable) : []),
      ...routes.flatMap(({ port }) => this.at(port) ?? []),
    ]
    for (const endpoint of wanted) endpoints.set(`${endpoint.host} ${endpoint.port}`, endpoint)
    if (endpoints.size === 0 && isLive(this.instance) && this.troubles.length === 0) {
      this.trouble('no port of it can be reached: publish one, or expose one in a network that others reach')
    }
    const entries = [...endpoints.values()].flatMap((endpoint) => this.entry(endpoint, isRancon, routes, shared) ?? [])
    return { entries, troubles: this.troubles, isPartial: this.isPartial }
  }

  private at(containerPort: number): Endpoint | undefined {
    return endpointAt(this.reachable, containerPort)
  }

  private trouble(text: string): void {
    this.troubles.push(`container ${printable(this.instance.name)}: ${text}`)
  }

  /** Something that it asks for cannot be announced. */
  private refuse(text: string): undefined {
    this.isPartial = true
    this.trouble(text)
  }

  /** What another Hostler makes the same instance of. */
  private sharedMeta(): Record<string, string> | undefined {
    const { rules, labels } = { rules: this.rules.rules, labels: this.reachable.labels }
    const whole = toChunks(encodeInstance(this.reachable))
    if (whole) return whole
    const isOurs = (label: string) =>
      label.startsWith(`${rules.labelPrefix}.`) || [rules.portLabel, rules.proxyLabel].includes(label)
    const few = Object.fromEntries(Object.entries(labels).filter(([label]) => isOurs(label)))
    const chunks = toChunks(encodeInstance({ ...this.reachable, labels: few }))
    if (!chunks) this.refuse('its labels are too long for Consul, 28 kB in all: other hosts get no routes to it')
    return chunks
  }

  private entry(
    endpoint: Endpoint,
    isRancon: boolean,
    routes: Routes,
    shared?: Record<string, string>,
  ): Entry | undefined {
    const { rules } = this
    const fields = fieldsOf(this.named, endpoint, rules, (label) =>
      // Tags are filled, and complained of, one by one.
      label === 'tag' ? () => undefined : this.unknown(`rancon.${label}`),
    )
    const name = fields.get('name')?.toLowerCase() ?? ''
    const own = isRancon ? '' : `_${rules.announcer}`
    const id = idWord(fill(rules.idSchema, fields, this.unknown('the id schema')) + own)
    const url = rules.template.for(fields, this.unknown("Consul's address"))
    const wrong = nameTrouble(name) ?? (id.length > 255 ? 'its id would be longer than 255 characters' : undefined)
    if (wrong !== undefined) return this.refuse(`${wrong}; it is not announced: set rancon.name`)
    if (rules.template.hasHost && !endpoint.isOfHost) return this.refuse(NO_AGENT_THERE)
    if (!isAddress(endpoint.host)) return this.refuse(`"${printable(endpoint.host)}" is no address that others reach`)
    const plain = {
      ...{ ID: id, Name: name, Address: endpoint.host, Port: endpoint.port },
      Tags: this.tags(fields, isRancon, shared !== undefined),
      Checks: this.checks(id, endpoint, routes),
    }
    const meta = {
      ...shared,
      [ANNOUNCER]: rules.announcer.slice(0, 255),
      [INSTANCE]: keyOf(this.instance).slice(0, 255),
    }
    const print = createHash('sha256')
      .update(JSON.stringify([plain, meta, rules.token]))
      .digest('base64url')
      .slice(0, 22)
    return { url, service: { ...plain, Meta: { ...meta, [FINGERPRINT]: print } }, container: this.instance.name }
  }

  private unknown(where: string): (placeholder: string) => void {
    return (placeholder) => this.trouble(`nothing is called ${placeholder} in ${where}; it became UNDEFINED`)
  }

  private tags(fields: Fields, isRancon: boolean, isShared: boolean): string[] {
    const label = this.instance.labels['rancon.tag'] ?? ''
    // What a placeholder stands for may hold commas as well.
    const asked = fill(label, fields, this.unknown('rancon.tag'))
      .split(',')
      .map((tag) => tag.trim().toLowerCase())
      .filter((tag) => tag !== '' && this.isTag(tag))
    const ours = [
      ...(isRancon ? ['rancon'] : []),
      ...(isShared ? [this.rules.tag] : []),
      cleanupTag(this.rules.cleanupId),
    ]
    return [...new Set([...asked, ...ours])]
  }

  private isTag(tag: string): boolean {
    const fits = tag.length <= 255 && !/[\p{Cc}\p{Cf}]/u.test(tag)
    if (!fits)
      this.trouble(
        `"${printable(tag)}" in rancon.tag is no tag; it is left out: write printable words, at most 255 characters`,
      )
    return fits
  }

  private checks(id: string, endpoint: Endpoint, routes: Routes): AgentCheck[] {
    const { leaseMs, announcer, cleanupId } = this.rules
    const at = (port: number) => this.at(port)
    const route = routes.find(({ port, healthCheck }) => healthCheck && port === endpoint.containerPort)
    const complain = (label: string, { reason, remedy }: Complaint) =>
      this.trouble(`label ${label}: ${reason}; ${remedy}. It is left out`)
    const byRancon = checksOfLabels({ id, instance: this.instance, endpoint, at }, complain)
    const isHttp = ({ HTTP }: AgentCheck) => HTTP !== undefined
    const own =
      route && !byRancon.some(isHttp)
        ? checkOfRoute({ id, route, at, prefix: this.rules.rules.labelPrefix }, complain)
        : []
    return [...(leaseMs > 0 ? [followsHeartbeat(id, { leaseMs, announcer, cleanupId })] : []), ...byRancon, ...own]
  }
}

/** At its own address a container may answer as if it were an agent, and would be sent our token. */
const NO_AGENT_THERE =
  "Consul's address holds %HOST%, and where no port is published a container's own address would be taken for its host's; publish a port, set HOSTLER_ANNOUNCE_ADDRESS, or write the agent's address without %HOST%"

function nameTrouble(name: string): string | undefined {
  if (name === 'consul') return 'it may not be called consul, which is the name of Consul itself'
  if (/^[a-z0-9_](?:[a-z0-9_.-]{0,126}[a-z0-9_])?$/.test(name)) return undefined
  return `"${printable(name)}" is no name for a service (letters, digits, dots, - and _; at most 128)`
}

/**
 * Healthy as long as its process tells that it lives. Ghosts end some time later, always before what they follow: without that,
 * Consul would call them healthy again.
 */
const followsHeartbeat = (
  id: string,
  { leaseMs, announcer, cleanupId }: { leaseMs: number; announcer: string; cleanupId: string },
): AgentCheck => ({
  CheckID: `${id}:announcer`,
  Name: `hostler at ${announcer} lives`,
  AliasService: heartbeatId(announcer, cleanupId),
  DeregisterCriticalServiceAfter: `${Math.ceil(ghostMs(leaseMs) / 1000)}s`,
})

/** How long an entry stays after its process has ended. Consul takes no less than a minute. */
export const ghostMs = (leaseMs: number): number => Math.max(60_000, leaseMs * 10)

/** Why it gets no traffic although it is announced; undefined: it does. */
export function maintenanceOf(instance: Instance, isDraining: boolean): string | undefined {
  if (isDraining) return 'it is about to be stopped'
  if (instance.state !== 'running') return `it is ${instance.state}`
  return isLive(instance) ? undefined : `it is ${instance.health}`
}
