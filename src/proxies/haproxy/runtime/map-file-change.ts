import type { MapEntries, MapLimits } from './map-file.js'
import type { Step } from './types.js'

export interface MapInputs {
  readonly map: string
  readonly running: MapEntries
  readonly wanted: MapEntries
  /** The look-up tries the entries in turn, so that their order counts. */
  readonly ordered: boolean
  /** Nobody answers, now, where this value leads. */
  readonly isDead: (value: string) => boolean
  /** Nobody will answer there once everything is done. */
  readonly staysEmpty: (value: string) => boolean
}

type Entry = readonly [key: string, value: string]

/** How one map becomes another. */
export interface MapChange extends MapInputs {
  readonly adds: readonly Entry[]
  readonly sets: readonly Entry[]
  /** With the values that they have. */
  readonly removals: readonly Entry[]
  /** Changing entry by entry would take too long, leave the wrong order, or not survive the command line. */
  readonly wholly: boolean
}

/** What it takes to move a map, or undefined when there is nothing to do. */
export function compareMaps(inputs: MapInputs, limits: MapLimits): MapChange | undefined {
  const { running, wanted, ordered } = inputs
  const adds: Entry[] = []
  const sets: Entry[] = []
  for (const entry of wanted) {
    const present = running.get(entry[0])
    if (present === undefined) adds.push(entry)
    else if (present !== entry[1]) sets.push(entry)
  }
  const hasStrays = running.size + adds.length !== wanted.size
  const removals = hasStrays ? [...running].filter(([key]) => !wanted.has(key)) : []
  const entries = [...adds, ...sets, ...removals]
  const disordered = ordered && !keepsOrder(running, wanted, adds)
  if (entries.length === 0 && !disordered) return undefined
  const limit = Math.max(limits.few, Math.min(limits.many, Math.max(running.size, wanted.size) / 4))
  const wholly = entries.length > limit || disordered || !entries.flat().every(isPlain)
  return { ...inputs, adds, sets, removals, wholly }
}

/** Whether deleting and appending leaves the entries in the wanted order. */
function keepsOrder(running: MapEntries, wanted: MapEntries, adds: readonly Entry[]): boolean {
  const after = [...[...running.keys()].filter((key) => wanted.has(key)), ...adds.map(([key]) => key)]
  let index = 0
  for (const key of wanted.keys()) if (after[index++] !== key) return false
  return true
}

/** A line of a payload that HAProxy reads back as it is; a file can hold more. */
export const isSendable = ([key, value]: Entry): boolean => /^[^#]/.test(key) && !/^$|[\x00-\x1f\x7f]/.test(value)

/** One word of a command line on every version; anything else goes as payload. A key with `#` would mean a reference. */
const isPlain = (text: string): boolean => /^[^\s\\"'<>#]+$/.test(text)

/**
 * A look-up asks several maps and takes the most special entry, so the order between all entries of all maps counts. First
 * those that lead to somebody come, and those that lead to nobody go: after that, every request that is served in the end
 * finds its entry. Only then do those go that are wanted no more, and those come that lead to nobody: nothing that is
 * served in the end finds them first.
 */
export function mapSteps(changes: readonly MapChange[]): { first: Step[]; last: Step[] } {
  const isAlone = changes.length === 1
  const ways = changes.map((change) => (change.wholly ? replacements(change, isAlone) : entrySteps(change)))
  return { first: ways.flatMap(({ first }) => first), last: ways.flatMap(({ last }) => last) }
}

function entrySteps({ map, adds, sets, removals, ordered, isDead, staysEmpty }: MapChange) {
  const isLate = ([, value]: Entry) => !ordered && staysEmpty(value)
  const isEarly = ([, value]: Entry) => isDead(value)
  const changes = (late: boolean): Step[] => [
    ...adds.filter((entry) => isLate(entry) === late).map((entry) => step('add-map-entry', map, entry)),
    ...sets.filter((entry) => isLate(entry) === late).map((entry) => step('set-map-entry', map, entry)),
  ]
  const leaves = (early: boolean): Step[] =>
    removals.filter((entry) => isEarly(entry) === early).map(([key]) => ({ kind: 'remove-map-entry', map, key }))
  return { first: [...changes(false), ...leaves(true)], last: [...leaves(false), ...changes(true)] }
}

const step = (kind: 'add-map-entry' | 'set-map-entry', map: string, [key, value]: Entry): Step => ({
  kind,
  map,
  key,
  value,
})

/** One map alone changes in one instant; of several, each goes through what all entries that lead to somebody make. */
function replacements(change: MapChange, isAlone: boolean): { first: Step[]; last: Step[] } {
  const { map, wanted, running, isDead, staysEmpty } = change
  const entire: Step = { kind: 'replace-map', map, entries: wanted }
  if (isAlone) return { first: [entire], last: [] }
  const between = new Map([...wanted].filter(([, value]) => !staysEmpty(value)))
  for (const [key, value] of running) if (!between.has(key) && !isDead(value)) between.set(key, value)
  return { first: [{ kind: 'replace-map', map, entries: between }], last: [entire] }
}
