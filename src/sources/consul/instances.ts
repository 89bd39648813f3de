import { compareText } from '../../lib/compare.js'
import { ANNOUNCER, FINGERPRINT, fromChunks, INSTANCE } from '../../lib/consul/meta.js'
import { decodeInstance } from '../../model/announced.js'
import { type Instance, isLive } from '../../model/instance.js'
import type { CatalogCheck, CatalogNode, CatalogService } from './catalog.js'

export interface ReadingRules {
  /** The tag of services that are instances. */
  readonly tag: string
  readonly labelPrefix: string
  /** The announcer whose instances are left out: our own, which come from a source of their own. */
  readonly own?: string | undefined
}

/** One service of an instance, and the instance as that fares. */
export interface Sighting {
  readonly instance: Instance
  readonly service: CatalogService
  /** The name of the node that has it. */
  readonly node: string
}

export type Status = 'passing' | 'unchecked' | 'failing' | 'maintenance'

/** A service as an instance, whatever its checks say. Undefined: it is none. @throws HostlerError `ANNOUNCED` for a bad one */
export function toInstance(service: CatalogService, node: CatalogNode, rules: ReadingRules): Instance | undefined {
  if (!service.tags.includes(rules.tag)) return undefined
  if (rules.own !== undefined && service.meta[ANNOUNCER] === rules.own) return undefined
  const announced = fromChunks(service.meta)
  if (announced === undefined) return fromStranger(service, node, rules)
  const id = `${service.meta[ANNOUNCER] ?? node.name}/${service.meta[INSTANCE] ?? service.id}`
  return decodeInstance(announced, { id, source: 'consul' })
}

/** A service that no Hostler has announced: its labels are tags of the form `hostler.x=y`, and meta `hostler-x`. */
function fromStranger(service: CatalogService, node: CatalogNode, { labelPrefix }: ReadingRules): Instance | undefined {
  const address = service.address || node.address
  if (!Number.isInteger(service.port) || service.port < 1 || service.port > 65_535 || address === '') return undefined
  const fromMeta = Object.entries(service.meta)
    .filter(([key]) => (key.startsWith(`${labelPrefix}-`) || key.startsWith(`${labelPrefix}_`)) && !OURS.includes(key))
    .map(([key, value]) => [`${labelPrefix}.${key.slice(labelPrefix.length + 1)}`, value])
  const fromTags = service.tags
    .map((tag) => /^([^=]+)=(.*)$/s.exec(tag))
    .filter((match) => match?.[1]?.startsWith(`${labelPrefix}.`))
    .map((match) => [match?.[1], match?.[2]])
  return {
    ...{
      id: `${node.name}/${service.id}`,
      source: 'consul',
      name: service.id,
      stack: service.name,
      service: service.name,
    },
    labels: { [`${labelPrefix}.port`]: String(service.port), ...Object.fromEntries([...fromMeta, ...fromTags]) },
    ...{ state: 'running', health: 'none', createdAt: 0 },
    networks: [{ name: 'consul', address, shared: false }],
    ports: [{ port: service.port }],
  }
}

const OURS = [ANNOUNCER, INSTANCE, FINGERPRINT]

/** How the services of a node fare, by id. */
export function statusesOf(checks: readonly CatalogCheck[]): (service: string) => Status {
  const ofServices = new Map<string, Status>()
  let ofNode: Status = 'unchecked'
  for (const check of checks) {
    if (check.service === '') ofNode = worse(ofNode, check.status === 'passing' ? 'unchecked' : statusOf(check))
    else ofServices.set(check.service, worse(ofServices.get(check.service) ?? 'unchecked', statusOf(check)))
  }
  return (service) => worse(ofNode, ofServices.get(service) ?? 'unchecked')
}

function statusOf({ id, status }: CatalogCheck): Status {
  if (status === 'passing') return 'passing'
  return id.startsWith('_service_maintenance:') || id === '_node_maintenance' ? 'maintenance' : 'failing'
}

const ORDER: readonly Status[] = ['unchecked', 'passing', 'failing', 'maintenance']

const worse = (a: Status, b: Status): Status => (ORDER.indexOf(a) < ORDER.indexOf(b) ? b : a)

/** The instance as it fares. What its own Hostler says of it stands where it is worse. */
export function withStatus(instance: Instance, status: Status, isAnnounced: boolean): Instance {
  if (status === 'maintenance') return instance.state === 'running' ? { ...instance, state: 'stopping' } : instance
  if (status === 'failing') return isLive(instance) ? { ...instance, health: 'unhealthy' } : instance
  return !isAnnounced && status === 'passing' ? { ...instance, health: 'healthy' } : instance
}

/**
 * One instance for several services of it: each of its ports may have one, and each has to be well. Of two that only share an
 * id the one that is well counts, and so it does of two nodes: on one of them it is what a move to the other has left behind.
 */
export function merge(sightings: readonly Sighting[]): Instance[] {
  const byId = new Map<string, Sighting>()
  for (const sighting of sightings) {
    const known = byId.get(sighting.instance.id)
    byId.set(sighting.instance.id, known ? both(known, sighting) : sighting)
  }
  return [...byId.values()].map(({ instance }) => instance).sort((a, b) => compareText(a.id, b.id))
}

function both(a: Sighting, b: Sighting): Sighting {
  const ofOne = a.node === b.node && a.service.meta[FINGERPRINT] !== undefined && sameText(a.service, b.service)
  if (ofOne) return isLive(a.instance) ? b : a
  return isLive(a.instance) || !isLive(b.instance) ? a : b
}

const sameText = (a: CatalogService, b: CatalogService): boolean => fromChunks(a.meta) === fromChunks(b.meta)
