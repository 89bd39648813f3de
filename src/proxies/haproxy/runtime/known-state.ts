import type { Clock } from '../../../lib/clock.js'
import type { MapEntries } from './map-file.js'
import type { Running, Step, WorkerKey } from './types.js'

/**
 * What HAProxy had when it was last asked for everything, for changes that come soon after: to list the servers and map entries
 * of 5,000 stacks takes it and us 30 ms, which each change would pay. Servers of backends that were touched since are asked for
 * anew, and maps are as our own steps have left them. What somebody else does meanwhile is found by the next pass, which asks for
 * everything.
 */
export interface KnownState {
  /** Undefined when everything has to be asked. */
  recall(): Known | undefined
  /** HAProxy has been asked. @param leaving backends with servers that go by themselves once they are idle */
  learn(running: Running, asked: Asked, leaving: Iterable<string>): void
  /** These steps are about to be done: whatever they touch is in doubt. */
  touch(steps: readonly Step[]): void
  /** All of them have been done. */
  done(steps: readonly Step[]): void
  forget(): void
}

export type Asked = 'everything' | 'what was touched'

export interface Known {
  readonly worker: WorkerKey
  readonly backends: Running['backends']
  readonly servers: Running['servers']
  /** Backends whose servers may be others by now. */
  readonly touched: ReadonlySet<string>
  /** By path; one that is not here is in doubt. */
  readonly maps: Running['maps']
}

type MapStep = Extract<Step, { readonly map: string }>

export function createKnownState(clock: Pick<Clock, 'elapsed'>, goodForMs: number): KnownState {
  let known: Omit<Known, 'touched' | 'maps'> | undefined
  let touched = new Set<string>()
  let maps = new Map<string, MapEntries>()
  let inDoubt: ReadonlyMap<string, MapEntries> = new Map()
  let wholeAt = 0
  return {
    recall: () => (known && clock.elapsed() - wholeAt <= goodForMs ? { ...known, touched, maps } : undefined),
    learn(running, asked, leaving) {
      if (asked === 'everything') wholeAt = clock.elapsed()
      touched = new Set(leaving)
      maps = new Map(running.maps)
      known = { worker: running, backends: running.backends, servers: running.servers }
    },
    touch(steps) {
      for (const step of steps) if ('backend' in step) touched.add(step.backend)
      const paths = new Set(steps.filter(isMapStep).map(({ map }) => map))
      inDoubt = new Map([...maps].filter(([path]) => paths.has(path)))
      for (const path of paths) maps.delete(path)
    },
    done(steps) {
      const changes = steps.filter(isMapStep)
      for (const [path, entries] of inDoubt) {
        const own = changes.filter(({ map }) => map === path)
        maps.set(path, own.reduce(afterwards, new Map(entries)))
      }
      inDoubt = new Map()
    },
    forget() {
      known = undefined
    },
  }
}

const isMapStep = (step: Step): step is MapStep => 'map' in step

/** HAProxy appends what is new, and changes the rest where it stands. */
function afterwards(entries: Map<string, string>, step: MapStep): Map<string, string> {
  if (step.kind === 'replace-map') return new Map(step.entries)
  if (step.kind === 'remove-map-entry') entries.delete(step.key)
  else entries.set(step.key, step.value)
  return entries
}
