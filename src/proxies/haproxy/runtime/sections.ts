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
  /** A backend whose servers are all written out, under a name that is one word. */
  readonly plain: boolean
}

/** The sections of one file; undefined when the text cannot be taken apart with certainty. */
export type SectionReader = (text: string) => readonly Section[] | undefined

const KINDS =
  'global|defaults|frontend|backend|listen|userlist|peers|mailers|namespace_list|resolvers|ring|log-forward|log-profile|' +
  'cache|program|http-errors|fcgi-app|traces|crt-store|acme|healthcheck|dynamic-update|spoe-agent|spoe-group|spoe-message'
const HEADER = new RegExp(`^[^\\S\\n]*(?:${KINDS})(?=\\s|#|$)`, 'gm')
const KIND = new RegExp(`^(?:${KINDS})$`)
/** A first word in quotes, a scope in brackets, a pseudo-variable that knows its line: rare, and left alone. */
const STRANGE = /^[^\S\n]*(?:\[|[^\s#]*["'\\])|\$\{?\.|\0/m

const KEPT_TEXTS = 3
/** Between the lines of a body: a quoted word may hold a line feed. */
const LINE_BREAK = '\u001d'

export const bodyLines = ({ body }: Section): string[] => (body === '' ? [] : body.split(LINE_BREAK))

/** Reads the texts of one file as it changes; sections that the text before had are the same objects. */
export function createSectionReader(): SectionReader {
  let recent: { text: string; sliced: Sliced | undefined }[] = []
  return (text) => {
    const same = recent.find((one) => one.text === text)
    const newest = same ?? { text, sliced: slice(text, recent.find(({ sliced }) => sliced)?.sliced) }
    recent = [newest, ...recent.filter((one) => one !== newest)].slice(0, KEPT_TEXTS)
    return newest.sliced?.sections
  }
}

/** A text and its sections. */
interface Sliced {
  readonly text: string
  /** Where each section starts. */
  readonly starts: readonly number[]
  readonly sections: readonly Section[]
}

const NOTHING_YET: Sliced = { text: '', starts: [], sections: [] }

/** Only what lies between the first and the last change is read. */
function slice(text: string, before = NOTHING_YET): Sliced | undefined {
  const same = commonHead(text, before.text)
  const head = Math.max(0, before.starts.findLastIndex((start) => start < same) - 1)
  const from = before.starts[head] ?? 0
  const length = commonTail(text.slice(from), before.text.slice(from))
  const found = before.starts.findIndex((start) => start > before.text.length - length)
  const tail = found === -1 ? before.starts.length : found
  const shift = text.length - before.text.length
  const middle = text.slice(from, (before.starts[tail] ?? before.text.length) + shift)
  if (STRANGE.test(middle)) return undefined
  const known = knownSlices(before, head, tail)
  const starts = middle === '' && text !== '' ? [] : startsOf(middle)
  const sections = starts.map((start, index) => {
    const part = middle.slice(start, starts[index + 1] ?? middle.length)
    const same = known.get(part)
    // Two that read the same stay two: each stands in a place of its own.
    known.delete(part)
    return same ?? readSection(detached(part))
  })
  return {
    text,
    starts: [
      ...before.starts.slice(0, head),
      ...starts.map((start) => start + from),
      ...before.starts.slice(tail).map((start) => start + shift),
    ],
    sections: [...before.sections.slice(0, head), ...sections, ...before.sections.slice(tail)],
  }
}

function knownSlices({ text, starts, sections }: Sliced, from: number, to: number): Map<string, Section> {
  const known = new Map<string, Section>()
  for (let index = from; index < to; index++) {
    const section = sections[index]
    if (section) known.set(text.slice(starts[index], starts[index + 1] ?? text.length), section)
  }
  return known
}

const CHUNK = 4096

/** How many characters two texts begin with alike, rounded down to whole chunks. */
function commonHead(a: string, b: string): number {
  let length = 0
  while (length < Math.min(a.length, b.length) && alike(a, b, length, length)) length += CHUNK
  return Math.min(length, a.length, b.length)
}

function commonTail(a: string, b: string): number {
  const longest = Math.min(a.length, b.length)
  let length = 0
  while (length + CHUNK <= longest && alike(a, b, a.length - length - CHUNK, b.length - length - CHUNK)) length += CHUNK
  return length
}

const alike = (a: string, b: string, atA: number, atB: number): boolean =>
  a.slice(atA, atA + CHUNK) === b.slice(atB, atB + CHUNK)

/** A copy: a part of a string keeps the whole of it in memory, and sections outlive the texts that they came from. */
const detached = (text: string): string => Buffer.from(text, 'utf16le').toString('utf16le')

function startsOf(text: string): number[] {
  return [0, ...[...text.matchAll(HEADER)].map(({ index }) => index).filter((index) => index > 0)]
}

function readSection(text: string): Section {
  const read = text
    .split('\n')
    .map(readLine)
    .filter((line) => line !== '')
  const isHeaded = KIND.test(firstWord(read[0] ?? ''))
  const [kind = '', name = '', ...rest] = isHeaded ? wordsOf(read[0] ?? '') : []
  const lines = isHeaded ? read.slice(1) : read
  const isServer = (line: string) => kind === 'backend' && firstWord(line) === 'server'
  const section = {
    kind,
    name,
    rest: rest.join(SEPARATOR),
    lines,
    body: lines.filter((line) => !isServer(line)).join(LINE_BREAK),
    servers: lines.filter(isServer).map(readServer),
    ...nestingOf(lines),
  }
  return { ...section, plain: isPlain(section) }
}

/** Lines that make servers of their own, that no worker acts on, or that depend on something. */
const UNPLAIN = /(?:^|\u001d)(?:server-template|dispatch|disabled|\.[a-z]+)(?=[\u001f\u001d]|$)/

function isPlain({ kind, name, body, servers }: Omit<Section, 'plain'>): boolean {
  const names = new Set(servers.map((server) => server.name))
  return kind === 'backend' && /^[A-Za-z0-9_.:-]+$/.test(name) && !UNPLAIN.test(body) && names.size === servers.length
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
