import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { FINGERPRINT } from '../../lib/consul/meta.js'
import { HostlerError, messageOf } from '../../lib/errors.js'
import { printable } from '../../lib/printable.js'
import type { Instance } from '../../model/instance.js'
import type { CatalogCheck, CatalogNode, CatalogService } from './catalog.js'
import {
  merge,
  type ReadingRules,
  type Sighting,
  type Status,
  statusesOf,
  toInstance,
  withStatus,
} from './instances.js'

/** What the catalog says of one node. */
export interface NodeFacts {
  readonly node: CatalogNode
  readonly services: readonly CatalogService[]
  readonly checks: readonly CatalogCheck[]
  /** How far the server has counted. It falls only when that has lost its state; a change that takes something away counts too. */
  readonly index: number
  /** Something was left out for lack of rights. */
  readonly isFiltered: boolean
}

/** Makes instances of what the nodes have; hands out the same object for what is still the same. */
export interface Census {
  /** Sorted by id. @throws HostlerError when this cannot be all there is */
  take(nodes: readonly NodeFacts[]): readonly Instance[]
}

export function createCensus(rules: ReadingRules, log: Logger): Census {
  let known: ReadonlyMap<string, Instance> = new Map()
  /** What a service is, by its object, and as what it fares. */
  const read = new WeakMap<CatalogService, Map<Status | 'told', Instance | undefined>>()
  const complain = createComplaints(log)

  function instanceOf(service: CatalogService, node: CatalogNode): Instance | undefined {
    try {
      return toInstance(service, node, rules)
    } catch (error) {
      complain(`${node.name}/${service.id}`, messageOf(error))
      return undefined
    }
  }

  /** The same object for the same service that fares the same. */
  function faring(service: CatalogService, node: CatalogNode, status: Status): Instance | undefined {
    const known =
      read.get(service) ?? new Map<Status | 'told', Instance | undefined>([['told', instanceOf(service, node)]])
    read.set(service, known)
    const told = known.get('told')
    const instance = known.get(status) ?? (told && withStatus(told, status, service.meta[FINGERPRINT] !== undefined))
    known.set(status, instance)
    return instance
  }

  function sightingsOf({ node, services, checks }: NodeFacts): Sighting[] {
    const statusFor = statusesOf(checks)
    return services.flatMap((service) => {
      const instance = faring(service, node, statusFor(service.id))
      return instance ? [{ instance, service, node: node.name }] : []
    })
  }

  return {
    take(nodes) {
      checkRights(nodes)
      const all = merge(nodes.flatMap(sightingsOf))
      const kept = all.map((instance) => {
        const before = known.get(instance.id)
        return before && (before === instance || isDeepStrictEqual(before, instance)) ? before : instance
      })
      known = new Map(kept.map((instance) => [instance.id, instance]))
      return kept
    },
  }
}

/**
 * A server that may not tell answers with nothing, or less, rather than no; newer ones say that. One that may tell always has
 * itself among its services.
 */
function checkRights(nodes: readonly NodeFacts[]): void {
  const knowsItself = nodes.some(({ services }) => services.some(({ name }) => name === 'consul'))
  if (knowsItself && !nodes.some(({ isFiltered }) => isFiltered)) return
  const remedy =
    'give CONSUL_HTTP_TOKEN the right to read every node and service (node_prefix "" and service_prefix "": read)'
  throw new HostlerError('CONSUL_DENIED', `Consul does not tell what it has, only what we may read; ${remedy}`)
}

function createComplaints(log: Logger): (service: string, reason: string) => void {
  const told = new Map<string, string>()
  return (service, reason) => {
    if (told.get(service) === reason || told.size > MAX_TOLD) return
    told.set(service, reason)
    log.warn({ service: printable(service, 200), reason }, 'a service in Consul is left out')
  }
}

const MAX_TOLD = 1000
