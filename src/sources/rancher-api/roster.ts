import type { RancherService } from '../../lib/rancher/shapes.js'
import { lowestPort, type Place } from './places.js'

/** A place, and what is put behind the id and the name of its service to tell its instance from the others: '' for one. */
export interface Berth {
  readonly place: Place
  readonly suffix: string
}

/**
 * Remembers what the places of each service are called, for as long as they are there. A name that moved from one container
 * to another would hand on what is known of the first: that it is ready, and whose sessions it holds.
 */
export interface Roster {
  /** In the order of the places. */
  assign(service: Pick<RancherService, 'id'>, places: readonly Place[]): Berth[]
  /** Of other services nothing is remembered. */
  keep(ids: ReadonlySet<string>): void
}

export function createRoster(): Roster {
  /** Of each service: containers and their suffixes. */
  const known = new Map<string, ReadonlyMap<string, string>>()

  return {
    assign({ id }, places) {
      const before = known.get(id) ?? new Map<string, string>()
      // Also of those that have just gone. What had no container until now is started, and goes on under its name.
      const taken = new Set([...before].flatMap(([container, suffix]) => (container === '' ? [] : suffix)))
      const berths = places.map((place): Berth => {
        const free = suffixesOf(place, places).find((suffix) => !taken.has(suffix))
        const suffix = place.container === '' ? '' : (before.get(place.container) ?? free ?? `@${place.container}`)
        taken.add(suffix)
        return { place, suffix }
      })
      known.set(id, new Map(berths.map(({ place, suffix }) => [place.container, suffix])))
      return berths
    },
    keep(ids) {
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id)
    },
  }
}

/** By address; several containers of one address by their lowest public port too. */
function suffixesOf(place: Place, places: readonly Place[]): string[] {
  const isAlone = places.every((other) => other === place || other.address !== place.address)
  return ['', ...(isAlone ? [`@${place.address}`] : []), `@${place.address}:${lowestPort(place)}`]
}
