/** Key → value, in the order of the file. */
export type MapEntries = ReadonlyMap<string, string>

export interface MapLimits {
  /** From so many changed entries on, or from a quarter of the map on, it is replaced as a whole. */
  readonly many: number
  /** So few are always changed one by one. */
  readonly few: number
}

export const MAP_LIMITS: MapLimits = { many: 200, few: 16 }

/**
 * A map file as HAProxy reads it: a `#` in the first column is a comment, the first word the key, the rest of the line the
 * value; of two lines with one key the first counts.
 */
export function readMap(text: string): MapEntries {
  const entries = new Map<string, string>()
  for (let start = 0; start < text.length; ) {
    const next = text.indexOf('\n', start)
    const end = next === -1 ? text.length : next
    const [, key, value = ''] = (text[start] !== '#' && ENTRY.exec(text.slice(start, end))) || []
    if (key !== undefined && !entries.has(key)) entries.set(key, value.replace(/[ \t]+$/, ''))
    start = end + 1
  }
  return entries
}

const ENTRY = /^[ \t]*([^ \t\r]+)[ \t]*([^\r]*)/

const KEPT_TEXTS = 3

/** Reads maps; one whose text is among the last few of its path is not read again. */
export function createMapReader(): (path: string, text: string) => MapEntries {
  const recent = new Map<string, { text: string; entries: MapEntries }[]>()
  return (path, text) => {
    const known = recent.get(path) ?? []
    const newest = known.find((one) => one.text === text) ?? { text, entries: readMap(text) }
    recent.set(path, [newest, ...known.filter((one) => one !== newest)].slice(0, KEPT_TEXTS))
    return newest.entries
  }
}
