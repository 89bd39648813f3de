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

/** @param files in the order in which HAProxy reads them */
export function layOut(files: readonly ConfigFile[]): Layout {
  // A file that is not understood may hold defaults for those after it.
  if (files.some(({ sections }) => sections === undefined)) return { frame: files.map(wholeFile), backends: new Map() }
  const sections = files.flatMap(({ sections }) => sections ?? [])
  const chains = new DefaultsChains(sections)
  const frame: Section[] = []
  const backends = new Map<string, Backend>()
  const taken = namesTakenTwice(sections)
  let nesting = 0
  let implied: Section | undefined
  for (const section of sections) {
    if (section.kind === 'defaults') implied = section
    const isCertain = section.kind === 'backend' && nesting === 0 && isPlain(section) && !taken.has(section.name)
    const defaults = isCertain ? chains.of(section, implied) : undefined
    if (defaults) {
      backends.set(section.name, { section, defaults })
    } else {
      frame.push(section)
      if (nesting > 0) chains.distrust(section)
    }
    nesting += section.nesting
  }
  return { frame, backends }
}

/** Lines that make servers of their own, or that no worker acts on. */
const UNPLAIN = /(?:^|\u001d)(?:server-template|dispatch|disabled|\.[a-z]+)(?=[\u001f\u001d]|$)/

function isPlain(section: Section): boolean {
  const names = new Set(section.servers.map(({ name }) => name))
  return (
    /^[A-Za-z0-9_.:-]+$/.test(section.name) &&
    !section.conditional &&
    section.nesting === 0 &&
    !UNPLAIN.test(section.body) &&
    names.size === section.servers.length
  )
}

function namesTakenTwice(sections: readonly Section[]): Set<string> {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const { kind, name } of sections) {
    if (kind !== 'backend' && kind !== 'listen') continue
    if (seen.has(name)) twice.add(name)
    seen.add(name)
  }
  return twice
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
  }
}

/** Which `defaults` a section inherits from, through `from` or by standing after it. */
class DefaultsChains {
  private readonly byName = new Map<string, Section | 'several'>()
  private readonly distrusted = new Set<Section>()

  constructor(sections: readonly Section[]) {
    for (const section of sections) {
      if (section.kind !== 'defaults' || ['', 'from'].includes(section.name)) continue
      this.byName.set(section.name, this.byName.has(section.name) ? 'several' : section)
    }
  }

  /** A section inside an `.if` may not be there. */
  distrust(section: Section): void {
    this.distrusted.add(section)
  }

  of(section: Section, implied: Section | undefined): readonly Section[] | undefined {
    const [word, name = ''] = wordsOf(section.rest)
    const nearest = word === 'from' ? this.byName.get(name) : implied
    if (word === 'from' && nearest === undefined) return undefined
    return this.chain(nearest, 0)
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
