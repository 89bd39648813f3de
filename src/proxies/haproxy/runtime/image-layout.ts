import { changedRange } from '../../../lib/difference.js'
import type { Section } from './sections.js'
import { wordsOf } from './sections-words.js'

/** All configuration files as one: what may be changed while it runs, and the frame around it that may not. */
export interface Layout {
  /** Every section that must stay as it is, in order; files that are not understood are one section each. */
  readonly frame: readonly Section[]
  readonly backends: ReadonlyMap<string, Backend>
}

/** A backend whose servers are all written out, outside any `.if`, under defaults that are known. */
export interface Backend {
  readonly section: Section
  /** The defaults that apply to it, nearest first. */
  readonly defaults: readonly Section[]
}

export interface ConfigFile {
  readonly path: string
  readonly text: string
  /** Undefined when it was not understood. */
  readonly sections: readonly Section[] | undefined
}

/**
 * @param files in the order in which HAProxy reads them
 * @param before what other files gave: where only plain backends differ, the rest is taken over
 */
export function layOut(
  files: readonly ConfigFile[],
  before?: { files: readonly ConfigFile[]; layout: Layout },
): Layout {
  // A file that is not understood may hold defaults for those after it.
  if (files.some(({ sections }) => sections === undefined)) return { frame: files.map(wholeFile), backends: new Map() }
  const sections = sectionsOf(files)
  const same = before && amended(before.layout, sectionsOf(before.files), sections)
  if (same) return same
  const twice = new Set<string>()
  const layout = arrange(sections, twice)
  return twice.size === 0 ? layout : arrange(sections, twice)
}

const sectionsOf = (files: readonly ConfigFile[]): readonly Section[] => files.flatMap(({ sections }) => sections ?? [])

/** Undefined: what differs is more than backends that stand beside others of their kind, under names that nobody else has. */
function amended({ frame, backends }: Layout, before: readonly Section[], sections: readonly Section[]) {
  const { from, to } = changedRange(before, sections)
  if (to.before + to.now - 2 * from > MANY) return undefined
  const next = new Map(backends)
  for (const section of before.slice(from, to.before)) {
    if (next.get(section.name)?.section !== section) return undefined
    next.delete(section.name)
  }
  for (let place = from; place < to.now; place++) {
    const section = sections[place]
    const beside = neighbour(next, sections[place - 1]) ?? neighbour(next, sections[place + 1])
    const isAlike = section?.plain && section.rest === '' && section.nesting === 0
    if (!beside || !isAlike || next.has(section.name) || frame.some(({ name }) => name === section.name))
      return undefined
    next.set(section.name, { section, defaults: beside.defaults })
  }
  return { frame, backends: next }
}

/** One that was there and names no defaults: whatever stands beside it has the same. */
function neighbour(backends: Layout['backends'], section: Section | undefined): Backend | undefined {
  const known = section && backends.get(section.name)
  return known?.section === section && section?.rest === '' && section.nesting === 0 ? known : undefined
}

/** From here on, all of it anew is not much dearer. */
const MANY = 100

/** @param twice names that several sections have, which belong to the frame; filled in */
function arrange(sections: readonly Section[], twice: Set<string>): Layout {
  const chains = new DefaultsChains(sections.filter(({ kind }) => kind === 'defaults'))
  const frame: Section[] = []
  const backends = new Map<string, Backend>()
  const listens = new Set<string>()
  let nesting = 0
  let implied: Section | undefined
  for (const section of sections) {
    const { kind, name } = section
    if (kind === 'defaults') implied = section
    if (kind === 'listen') listens.add(name)
    if (backends.has(name) || (kind === 'backend' && listens.has(name))) twice.add(name)
    const isCertain = section.plain && nesting === 0 && !twice.has(name)
    const defaults = isCertain ? chains.of(section, implied) : undefined
    if (defaults) backends.set(name, { section, defaults })
    // Comments at the head of a file.
    else if (kind !== '' || section.lines.length > 0) frame.push(section)
    if (nesting > 0) chains.distrust(section)
    nesting += section.nesting
  }
  return { frame, backends }
}

function wholeFile({ path, text }: ConfigFile): Section {
  const lines = text.split('\n').map((line) => line.trim())
  return {
    kind: 'the file',
    name: path,
    rest: '',
    lines,
    body: '',
    servers: [],
    nesting: 0,
    conditional: true,
    plain: false,
  }
}

/** Which `defaults` a section inherits from, through `from` or by standing after it. */
class DefaultsChains {
  private readonly byName = new Map<string, Section | 'several'>()
  private readonly distrusted = new Set<Section>()
  /** The same array for the same defaults, so that backends can be compared by it. */
  private readonly known = new Map<Section | undefined, readonly Section[] | undefined>()

  constructor(sections: readonly Section[]) {
    for (const section of sections) {
      if (['', 'from'].includes(section.name)) continue
      this.byName.set(section.name, this.byName.has(section.name) ? 'several' : section)
    }
  }

  /** A section inside an `.if` may not be there. */
  distrust(section: Section): void {
    this.distrusted.add(section)
  }

  of(section: Section, implied: Section | undefined): readonly Section[] | undefined {
    const [word, name = ''] = section.rest === '' ? [] : wordsOf(section.rest)
    const nearest = word === 'from' ? this.byName.get(name) : implied
    if (nearest === 'several' || (word === 'from' && nearest === undefined)) return undefined
    if (!this.known.has(nearest)) this.known.set(nearest, this.chain(nearest, 0))
    return this.known.get(nearest)
  }

  private chain(section: Section | 'several' | undefined, depth: number): readonly Section[] | undefined {
    if (section === undefined) return []
    if (section === 'several' || section.conditional || this.distrusted.has(section) || depth > 20) return undefined
    const parent = parentOf(section)
    if (parent === undefined) return [section]
    const known = this.byName.get(parent)
    const others = known === undefined ? undefined : this.chain(known, depth + 1)
    return others && [section, ...others]
  }
}

/** The BASE of `defaults NAME from BASE` and `defaults from BASE`. */
function parentOf({ name, rest }: Section): string | undefined {
  const words = [name, ...wordsOf(rest)]
  const at = words.indexOf('from')
  return at === -1 ? undefined : words[at + 1]
}
