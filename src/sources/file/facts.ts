import { isDeepStrictEqual } from 'node:util'
import { HostlerError } from '../../lib/errors.js'
import type { Instance } from '../../model/instance.js'
import { type Entry, readEntries } from './document.js'
import { toInstance } from './entry.js'

const MISTAKES_SHOWN = 8

/** Turns the file's text into facts, and keeps the object of every entry that did not change since last time. */
export interface FactReader {
  /** Sorted by id. Throws a HostlerError that names file, entry and field. */
  read(text: string): readonly Instance[]
}

export function createFactReader(path: string): FactReader {
  let byKey: ReadonlyMap<string, Instance> = new Map()
  let byId: ReadonlyMap<string, Instance> = new Map()
  let lastText: string | undefined
  let facts: readonly Instance[] = []

  function read(text: string): readonly Instance[] {
    if (text === lastText) return facts
    const next = new Map<string, Instance>()
    const mistakes: string[] = []
    const entries = readEntries(text, path, (key) => byKey.has(key))
    const listed = entries.flatMap((entry, index) => {
      const instance = next.get(entry.key) ?? byKey.get(entry.key) ?? readEntry(entry, index, byId, mistakes)
      if (instance === undefined) return []
      next.set(entry.key, instance)
      return [instance]
    })
    mistakes.push(...duplicatesIn(listed))
    if (mistakes.length > 0) throw refusal(path, mistakes)
    byKey = next
    byId = new Map(listed.map((instance) => [instance.id, instance]))
    facts = listed.sort((a, b) => (a.id < b.id ? -1 : 1))
    lastText = text
    return facts
  }

  return { read }
}

function readEntry(
  entry: Entry,
  index: number,
  known: ReadonlyMap<string, Instance>,
  mistakes: string[],
): Instance | undefined {
  const value = entry.value()
  const instance = toInstance(value)
  if (!('id' in instance)) {
    const title = titleOf(value, index)
    for (const mistake of instance) mistakes.push(`${title}: ${mistake}`)
    return undefined
  }
  const before = known.get(instance.id)
  return before !== undefined && isDeepStrictEqual(before, instance) ? before : instance
}

function titleOf(value: unknown, index: number): string {
  const name = typeof value === 'object' && value !== null && 'name' in value ? value.name : undefined
  return typeof name === 'string' ? `instances[${index}] (${name.slice(0, 60)})` : `instances[${index}]`
}

function duplicatesIn(instances: readonly Instance[]): string[] {
  const first = new Map<string, number>()
  return instances.flatMap(({ id }, index) => {
    const earlier = first.get(id)
    if (earlier === undefined) first.set(id, index)
    return earlier === undefined ? [] : [`instances[${index}]: the name ${id} is taken by instances[${earlier}]`]
  })
}

function refusal(path: string, mistakes: readonly string[]): HostlerError {
  const shown = mistakes.slice(0, MISTAKES_SHOWN)
  const more = mistakes.length > shown.length ? [`and ${mistakes.length - shown.length} more`] : []
  const lines = [...shown, ...more].map((line) => `\n  ${line}`)
  return new HostlerError('file-entries', `${path} has entries that cannot be used:${lines.join('')}`)
}
