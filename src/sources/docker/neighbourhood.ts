import type { Census } from './census.js'
import { type Container, joinedContainer } from './container.js'
import { createVantage, sameVantage, type Vantage, type VantageRules } from './vantage.js'

/**
 * The containers that matter without taking part: the proxy's own, which says what the proxy can reach, and those whose
 * network one of ours uses (`network_mode: container:ID`).
 */
export interface Neighbourhood {
  /** The same object until something of it changes. */
  readonly vantage: Vantage
  /** The container whose network this one uses; undefined when it has its own, or the owner is not known. */
  ownerOf(container: Container): Container | undefined
  has(reference: string): boolean
  /** Whether it is one of them, by id. */
  includes(id: string): boolean
  add(reference: string, container: Container): void
  /** News of a container; tells which of ours look different now, undefined for none. */
  update(container: Container): ((ours: Container) => boolean) | undefined
  /** Starts over from a full pass. */
  survey(census: Census, ours: Iterable<Container>, rootless: boolean): void
}

export interface NeighbourhoodRules extends Omit<VantageRules, 'rootless'> {
  /** Whether that container is the proxy's. */
  readonly isProxy: (container: Container) => boolean
}

export function createNeighbourhood(rules: NeighbourhoodRules): Neighbourhood {
  /** By the id or name that they are used by. */
  const owners = new Map<string, Container>()
  let [proxy, rootless] = [undefined as Container | undefined, false]
  let vantage = createVantage({ ...rules, rootless }, undefined)

  const ownerOf = (container: Container) => owners.get(joinedContainer(container) ?? '')
  const look = () => {
    const now = createVantage({ ...rules, rootless }, proxy && (ownerOf(proxy) ?? proxy))
    if (!sameVantage(vantage, now)) vantage = now
  }

  const proxyChanged = ({ id }: Container) => proxy?.id === id || (proxy && ownerOf(proxy)?.id === id)

  function update(container: Container): ((ours: Container) => boolean) | undefined {
    const used = [...owners].filter(([, { id }]) => id === container.id).map(([reference]) => reference)
    for (const reference of used) owners.set(reference, container)
    if (proxy?.id === container.id) proxy = container
    else if (used.length === 0) return undefined
    look()
    return proxyChanged(container) ? () => true : (ours) => used.includes(joinedContainer(ours) ?? '')
  }

  function survey(census: Census, ours: Iterable<Container>, isRootless: boolean): void {
    proxy = census.find(rules.isProxy)
    rootless = isRootless
    owners.clear()
    for (const reference of new Set([proxy, ...ours].map((one) => one && joinedContainer(one)))) {
      const owner = reference && census.find(({ id, name }) => id === reference || name === reference)
      if (reference && owner) owners.set(reference, owner)
    }
    look()
  }

  return {
    get vantage() {
      return vantage
    },
    ownerOf,
    has: (reference) => owners.has(reference),
    includes: (id) => proxy?.id === id || [...owners.values()].some((owner) => owner.id === id),
    add: (reference, container) => void owners.set(reference, container),
    update,
    survey,
  }
}
