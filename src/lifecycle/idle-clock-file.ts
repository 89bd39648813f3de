import { HostlerError } from '../lib/errors.js'

/** What the idle clock keeps on disk. Ages rather than moments: they hold whatever becomes of the wall clock. */
export interface ClockFile {
  /** Milliseconds since the epoch. */
  readonly savedAt: number
  /** Milliseconds since the last use, as of then. */
  readonly groups: Iterable<readonly [group: string, idleMs: number]>
  readonly counts: ReadonlyMap<string, ProxyCounts>
}

/** What a proxy had counted. */
export interface ProxyCounts {
  /** Figures of another counting cannot be compared with these. */
  readonly counting: string
  /** By group. */
  readonly totals: ReadonlyMap<string, number>
}

/** Raised when the shape changes: a file of another version is not used. */
const FORMAT = 1

export function formatClockFile({ savedAt, groups, counts }: ClockFile): string {
  const proxies = [...counts].map(([proxy, { counting, totals }]) => {
    return `{"proxy":${JSON.stringify(proxy)},"counting":${JSON.stringify(counting)},"totals":${pairs(totals)}}`
  })
  return `{"format":${FORMAT},"savedAt":${savedAt},"groups":${pairs(groups)},"counts":[${proxies}]}\n`
}

/** As JSON has it, without a copy of everything on the way: it is written every second while ten thousand are in use. */
function pairs(entries: Iterable<readonly [string, number]>): string {
  const parts: string[] = []
  for (const [name, number] of entries) parts.push(`[${JSON.stringify(name)},${number}]`)
  return `[${parts.join()}]`
}

/** @throws when it is not a whole file of ours */
export function parseClockFile(text: string): ClockFile {
  const { format, savedAt, groups, counts } = recordOf(JSON.parse(text))
  if (format !== FORMAT || typeof savedAt !== 'number' || !Array.isArray(counts)) throw strange()
  return { savedAt, groups: pairsOf(groups), counts: new Map(counts.map(countsOf)) }
}

function countsOf(value: unknown): [string, ProxyCounts] {
  const { proxy, counting, totals } = recordOf(value)
  if (typeof proxy !== 'string' || typeof counting !== 'string') throw strange()
  return [proxy, { counting, totals: pairsOf(totals) }]
}

/** Pairs rather than an object: a group may have any name, `__proto__` too. */
function pairsOf(value: unknown): Map<string, number> {
  if (!Array.isArray(value)) throw strange()
  return new Map(
    value.map((pair): [string, number] => {
      const [name, number] = Array.isArray(pair) ? pair : []
      if (typeof name !== 'string' || typeof number !== 'number' || !(number >= 0)) throw strange()
      return [name, number]
    }),
  )
}

function recordOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw strange()
  return value as Record<string, unknown>
}

const strange = () => new HostlerError('IDLE_CLOCK', 'it does not hold what this version of Hostler writes')
