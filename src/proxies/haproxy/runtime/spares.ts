import { areEqual } from './image.js'
import type { Backend, Layout } from './image-layout.js'
import { bodyLines, firstDifference, showLine } from './sections.js'
import type { Running } from './types.js'

/**
 * What has been changed at run time since the worker loaded its files, as far as HAProxy cannot be asked about it. Handed
 * from plan to plan; a load makes it `NOTHING_SINCE_LOAD` again. When a step failed the older one stays: what is in neither
 * is unknown, and leads to a reload.
 */
export interface SpareState {
  /** Backend in the files → the spare that serves it. */
  readonly used: ReadonlyMap<string, string>
  /** Spares that served somebody once, longest ago first; their counters are not from zero. */
  readonly retired: readonly string[]
  /** Backends that were added at run time (3.4 and later) → their lines. */
  readonly backends: ReadonlyMap<string, string>
  /** `backend/server`, as HAProxy calls them → the line that it was added with. */
  readonly servers: ReadonlyMap<string, string>
  /** crt-lists and certificates that were changed → their content. */
  readonly files: ReadonlyMap<string, string>
}

export const NOTHING_SINCE_LOAD: SpareState = {
  used: new Map(),
  retired: [],
  backends: new Map(),
  servers: new Map(),
  files: new Map(),
}

/**
 * A spare: an empty backend that is loaded ahead of need, so that a new stack can be served without a reload. HAProxy
 * before 3.4 cannot add backends.
 */
export const isSpare = (name: string): boolean => name.startsWith(SPARE) && /^\d+$/.test(name.slice(SPARE.length))

/** The names of a pool: `hostler_spare_001`, … */
export const spareNames = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${SPARE}${String(index + 1).padStart(3, '0')}`)

const SPARE = 'hostler_spare_'

/** What a stack's backend is called in the files, given its name in HAProxy; undefined for a spare that serves nobody. */
export function stackOf(backend: string, { used }: Pick<SpareState, 'used'>): string | undefined {
  for (const [name, spare] of used) if (spare === backend) return name
  return isSpare(backend) ? undefined : backend
}

/** The same for all spares at once: spare → backend in the files. */
export const spareOwners = ({ used }: Pick<SpareState, 'used'>): Map<string, string> =>
  new Map([...used].map(([name, spare]) => [spare, name]))

/** Spares that could take a backend now: those that never served anybody first. */
export function freeSpares(loaded: Layout, running: Running, state: SpareState): string[] {
  const taken = new Set(state.used.values())
  const isFree = (name: string) =>
    isSpare(name) &&
    !taken.has(name) &&
    loaded.backends.get(name)?.section.servers.length === 0 &&
    running.backends.has(name) &&
    (running.servers.get(name)?.size ?? 0) === 0
  const free = new Set([...loaded.backends.keys()].filter(isFree))
  const used = state.retired.filter((name) => free.has(name))
  const fresh = [...free].filter((name) => !used.includes(name)).sort()
  return [...fresh, ...used]
}

export interface RefillRules {
  /** How many spares a load makes; 0: none. */
  readonly pool: number
  /** How long nothing must have changed. */
  readonly quietMs: number
}

/** Whether to reload only to have all spares again: half of them are in use, and nothing has changed for a while. */
export function shouldRefill(
  { used }: Pick<SpareState, 'used'>,
  nowMs: number,
  lastChangeMs: number,
  { pool, quietMs }: RefillRules,
): boolean {
  return pool > 0 && used.size > 0 && used.size * 2 >= pool && nowMs - lastChangeMs >= quietMs
}

/** The line in which a spare is not like a backend that it shall serve; undefined when it is. */
export function misfit(spare: Backend, backend: Backend): string | undefined {
  if (!haveSameDefaults(spare, backend)) return 'its defaults'
  const line = firstDifference(bodyLines(spare.section), bodyLines(backend.section))
  return line === undefined ? undefined : showLine(line)
}

export const haveSameDefaults = (a: Backend, b: Backend): boolean =>
  a.section.rest === b.section.rest &&
  a.defaults.length === b.defaults.length &&
  a.defaults.every((one, index) => {
    const other = b.defaults[index]
    return other !== undefined && areEqual(one, other)
  })
