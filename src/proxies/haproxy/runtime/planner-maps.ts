import { basename } from 'node:path'
import { NeedsReload } from './image-reload.js'
import type { Routing } from './image-routing.js'
import type { MapEntries, MapLimits } from './map-file.js'
import { compareMaps, isSendable, type MapChange, type MapInputs, mapSteps } from './map-file-change.js'
import { showLine } from './sections.js'
import type { ConfigImage, Running, Step } from './types.js'

export interface MapsInputs {
  readonly maps: readonly string[]
  readonly configs: readonly string[]
  readonly loaded: ConfigImage
  readonly wanted: ConfigImage
  readonly running: Running
  readonly routing: Routing
  /** Backend in the files → what serves it, where that is not itself. */
  readonly places: ReadonlyMap<string, string>
  readonly read: (path: string, text: string) => MapEntries
  readonly limits: MapLimits
  /** Whether nobody answers in a backend of HAProxy: now, or once everything is done. */
  readonly isEmpty: (backend: string, when: 'now' | 'later') => boolean
}

/** @throws NeedsReload */
export function planMaps(inputs: MapsInputs): { first: readonly Step[]; last: readonly Step[] } {
  const { maps, running, limits } = inputs
  const unknown = maps.filter((map) => !running.maps.has(map))
  for (const map of unknown) requireUnused(map, inputs)
  const changes = maps.map((map) => {
    const entries = running.maps.get(map)
    return entries && compareMaps(comparison(map, entries, inputs), limits)
  })
  const found = changes.filter((change) => change !== undefined)
  for (const change of found) requireSendable(change)
  return mapSteps(found)
}

function requireSendable({ map, wanted, adds, sets, wholly }: MapChange): void {
  const odd = (wholly ? [...wanted] : [...adds, ...sets]).find((entry) => !isSendable(entry))
  if (odd)
    throw new NeedsReload(`${basename(map)} has changed, and only a load can give it the entry ${showLine(odd[0])}`)
}

function comparison(map: string, running: MapEntries, inputs: MapsInputs): MapInputs {
  const { routing, isEmpty } = inputs
  const leads = routing.maps.has(map)
  return {
    map,
    running,
    wanted: wantedEntries(map, inputs),
    ordered: isOrdered(map, routing),
    isDead: (value) => leads && isEmpty(value, 'now'),
    staysEmpty: (value) => leads && isEmpty(value, 'later'),
  }
}

const isOrdered = (map: string, { ordered }: Routing): boolean => ordered === 'all' || ordered.has(map)

function wantedEntries(map: string, { wanted, read, routing, places }: MapsInputs): MapEntries {
  const entries = read(map, wanted.get(map) ?? '')
  if (places.size === 0 || !routing.maps.has(map)) return entries
  const translated = new Map<string, string>()
  for (const [key, value] of entries) translated.set(key, places.get(value) ?? value)
  return translated
}

/** HAProxy loads only the maps that its configuration mentions. */
function requireUnused(map: string, { loaded, wanted, configs }: MapsInputs): void {
  if (loaded.get(map) === wanted.get(map)) return
  if (!configs.some((config) => wanted.get(config)?.includes(map))) return
  throw new NeedsReload(`${basename(map)} has changed, and HAProxy does not know it`)
}

/** Tells whether a routing map of the files leads to a backend; the maps are read when that is asked first. */
export function waysIn({ routing, wanted, read }: Pick<MapsInputs, 'routing' | 'wanted' | 'read'>) {
  let values: ReadonlySet<string> | undefined
  return (name: string): boolean => {
    values ??= new Set([...routing.maps].flatMap((map) => [...read(map, wanted.get(map) ?? '').values()]))
    return values.has(name)
  }
}

/**
 * A backend under another name is found through a map alone.
 * @throws NeedsReload
 */
export function requireWayIn(name: string, isWayIn: (name: string) => boolean): void {
  if (!isWayIn(name)) throw new NeedsReload(`backend ${name} is new, and no map leads to it`)
}
