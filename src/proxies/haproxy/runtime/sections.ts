import { printable } from '../../../lib/printable.js'
import { readServer, type ServerLine } from './sections-server.js'
import { firstWord, readLine, SEPARATOR, VARIABLE, wordsOf } from './sections-words.js'

/** One section of a configuration. Comments, blank lines and white space do not count. */
export interface Section {
  /** `frontend`, `backend`, …; '' for what stands before the first section of a file. */
  readonly kind: string
  readonly name: string
  /** What follows the name: `from DEFAULTS`. Read. */
  readonly rest: string
  /** Every line but the first one, read, in order; those of servers too. */
  readonly lines: readonly string[]
  /** The lines that are no `server` lines, joined. */
  readonly body: string
  readonly servers: readonly ServerLine[]
  /** How much deeper in `.if` blocks its end lies than its start. */
  readonly nesting: number
  /** A part of it depends on an `.if` of its own. */
  readonly conditional: boolean
}

/** The sections of one file; undefined when the text cannot be taken apart with certainty. */
export type SectionReader = (text: string) => readonly Section[] | undefined

const KINDS =
  'global|defaults|frontend|backend|listen|userlist|peers|mailers|namespace_list|resolvers|ring|log-forward|log-profile|' +
  'cache|program|http-errors|fcgi-app|traces|crt-store|acme|healthcheck|dynamic-update|spoe-agent|spoe-group|spoe-message'
const HEADER = new RegExp(`^[^\\S\\n]*(?:${KINDS})(?=\\s|#|$)`, 'gm')
/** A first word in quotes, a scope in brackets, a pseudo-variable that knows its line: rare, and left alone. */
const STRANGE = /^[^\S\n]*(?:\[|[^\s#]*["'\\])|\$\{?\.|\0/m

const KEPT_TEXTS = 3
/** Between the lines of a body: a quoted word may hold a line feed. */
const LINE_BREAK = '\u001d'

export const bodyLines = ({ body }: Section): string[] => (body === '' ? [] : body.split(LINE_BREAK))

/** Reads the texts of one file as it changes; sections that an earlier text had are the same objects. */
export function createSectionReader(): SectionReader {
  let recent: { text: string; sections: readonly Section[] | undefined; known: Map<string, Section> }[] = []
  return (text) => {
    const same = recent.find((one) => one.text === text)
    const known = new Map<string, Section>()
    const sections = same ? same.sections : STRANGE.test(text) ? undefined : slicesOf(text).map(sectionOf)
    function sectionOf(slice: string): Section {
      const section = recent.find((one) => one.known.has(slice))?.known.get(slice) ?? readSection(detached(slice))
      known.set(slice, section)
      return section
    }
    const newest = same ?? { text, sections, known }
    recent = [newest, ...recent.filter((one) => one !== newest)].slice(0, KEPT_TEXTS)
    return sections
  }
}

/** A copy: a part of a string keeps the whole of it in memory, and sections outlive the texts that they came from. */
const detached = (text: string): string => Buffer.from(text, 'utf16le').toString('utf16le')

function slicesOf(text: string): string[] {
  const starts = [0]
  for (const match of text.matchAll(HEADER)) if (match.index > 0) starts.push(match.index)
  return starts.map((start, index) => text.slice(start, starts[index + 1] ?? text.length))
}

function readSection(text: string): Section {
  const read = text
    .split('\n')
    .map(readLine)
    .filter((line) => line !== '')
  const isHeaded = new RegExp(`^(?:${KINDS})$`).test(firstWord(read[0] ?? ''))
  const [kind = '', name = '', ...rest] = isHeaded ? wordsOf(read[0] ?? '') : []
  const lines = isHeaded ? read.slice(1) : read
  const isServer = (line: string) => kind === 'backend' && firstWord(line) === 'server'
  return {
    kind,
    name,
    rest: rest.join(SEPARATOR),
    lines,
    body: lines.filter((line) => !isServer(line)).join(LINE_BREAK),
    servers: lines.filter(isServer).map(readServer),
    ...nestingOf(lines),
  }
}

function nestingOf(lines: readonly string[]): { nesting: number; conditional: boolean } {
  let nesting = 0
  let conditional = false
  for (const line of lines) {
    const word = firstWord(line)
    if (word === '.if') nesting += 1
    else if (word === '.endif') nesting -= 1
    else if (nesting > 0 && !word.startsWith('.')) conditional = true
  }
  return { nesting, conditional }
}

/** For messages: `frontend hostler`. */
export const titleOf = ({ kind, name }: Section): string =>
  kind === '' ? 'the head of a file' : printable(`${kind} ${name}`.trim(), 120)

const CONFIDENTIAL = /pass|auth|secret|token|user|credential/i

/** A read line for messages: shortened, and only its first word where it may hold a password. */
export function showLine(line: string): string {
  if (CONFIDENTIAL.test(line)) return `${printable(firstWord(line), 40)} …`
  return printable(line.replaceAll(SEPARATOR, ' ').replaceAll(VARIABLE, ''), 120)
}

/** The first line that one has and the other has not in that place; undefined when they are equal. */
export function firstDifference(before: readonly string[], after: readonly string[]): string | undefined {
  const index = after.findIndex((line, at) => line !== before[at])
  if (index !== -1) return after[index]
  return before.length > after.length ? before[after.length] : undefined
}
