import { messageOf } from '../lib/errors.js'
import type { Instance } from '../model/instance.js'
import type { SourceState } from './state.js'

/**
 * What every source last told. A source that fails keeps its last good facts; one that has never told anything holds
 * everything back, for a plan without it would take its routes away.
 */
export class Facts {
  private readonly bySource = new Map<string, SourceFacts>()
  private joined: { readonly parts: readonly (readonly Instance[])[]; readonly all: readonly Instance[] } = {
    parts: [],
    all: [],
  }

  constructor(names: readonly string[]) {
    for (const name of names) this.bySource.set(name, { instances: undefined })
  }

  /** @returns whether anything differs from before */
  report(name: string, instances: readonly Instance[], at: number): boolean {
    const before = this.bySource.get(name)?.instances
    const isSame = before !== undefined && sameItems(before, instances)
    this.bySource.set(name, { instances: isSame ? before : instances, updatedAt: at })
    return !isSame
  }

  /** @returns whether this is news: the source was well, or says something else now */
  fail(name: string, error: unknown): boolean {
    const facts = this.bySource.get(name)
    if (!facts) return false
    const message = messageOf(error)
    const isNews = facts.error !== message
    this.bySource.set(name, { ...facts, error: message })
    return isNews
  }

  /** Facts of an earlier run, for a source that has not told anything in this one. */
  recall(name: string, instances: readonly Instance[], at: number): boolean {
    const facts = this.bySource.get(name)
    if (!facts || facts.instances !== undefined) return false
    this.bySource.set(name, { ...facts, instances, updatedAt: at })
    return true
  }

  get(name: string): readonly Instance[] | undefined {
    return this.bySource.get(name)?.instances
  }

  /** What it last told, and when. */
  last(name: string): { readonly instances: readonly Instance[]; readonly at: number } | undefined {
    const { instances, updatedAt: at } = this.bySource.get(name) ?? {}
    return instances && at !== undefined ? { instances, at } : undefined
  }

  /**
   * Everything known, or undefined while it is too early: nobody has told anything yet, or a source has neither
   * answered nor failed. The same array while nothing changed.
   */
  all(): readonly Instance[] | undefined {
    const sources = [...this.bySource.values()]
    const pending = sources.some(({ instances, error }) => instances === undefined && error === undefined)
    if (pending || sources.every(({ instances }) => instances === undefined)) return undefined
    const parts = sources.flatMap(({ instances }) => (instances === undefined ? [] : [instances]))
    if (!sameItems(this.joined.parts, parts)) {
      const [first] = parts
      this.joined = { parts, all: parts.length === 1 && first ? first : parts.flat() }
    }
    return this.joined.all
  }

  /** The sources whose facts are known, if only that there are none. */
  told(): string[] {
    return [...this.bySource].flatMap(([name, { instances }]) => (instances === undefined ? [] : [name]))
  }

  states(): SourceState[] {
    return [...this.bySource].map(([name, { instances, updatedAt, error }]) => ({
      name,
      instances: instances?.length ?? 0,
      ...(updatedAt !== undefined && { updatedAt }),
      ...(error !== undefined && { error }),
    }))
  }
}

interface SourceFacts {
  readonly instances: readonly Instance[] | undefined
  readonly updatedAt?: number
  readonly error?: string
}

/** Sources hand out the same object for what did not change. */
const sameItems = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((item, index) => item === b[index])
