import { setImmediate } from 'node:timers/promises'
import { type Document, isMap, isScalar, type Pair, parseDocument, visit } from 'yaml'

/** What is wrong with a file, and the name of the entry (router, service, middleware) that holds it, where it can be told. */
export interface YamlComplaint {
  readonly message: string
  readonly entry?: string
}

/**
 * Tells why Traefik would refuse a file, or take its absence of routes for the truth. Entries are parsed one by one and
 * remembered: of 10,000 backends only the changed one is parsed again.
 */
export interface YamlCheck {
  /** `mustRoute`: a file without `http` would take every route away. Undefined: nothing is wrong. */
  complaint(text: string, mustRoute: boolean): Promise<YamlComplaint | undefined>
}

/** Maps that Traefik refuses when empty: "cannot be a standalone element". */
const NEVER_EMPTY = new Set([
  'http',
  'tcp',
  'udp',
  'routers',
  'services',
  'middlewares',
  'serversTransports',
  'loadBalancer',
  'headers',
])

/** An entry is a key at the third level: four spaces deep in the layout of our templates. */
const ENTRY_START = /\n(?= {4}[^\s#-])/
const ENTRY_END = /\n(?= {0,3}[^\s#])/
/** Stands for an entry in what remains when they are taken out. */
const PLACEHOLDER = '    hostler: 0'
const ENTRIES_AT_A_TIME = 200

export function createYamlCheck(): YamlCheck {
  let accepted: ReadonlyMap<string, string> = new Map()
  return {
    async complaint(text, mustRoute) {
      const { skeleton, entries } = takeApart(text)
      // Entries in another layout, or repeated ones, are for the parser to judge as a whole.
      if (repeats(entries) || (entries.length > 0 && wrong(skeleton, false))) return wrong(text, mustRoute)
      const next = new Map<string, string>()
      let parsed = 0
      for (const entry of entries) {
        const known = accepted.get(entry.text)
        if (known === undefined) {
          if (++parsed % ENTRIES_AT_A_TIME === 0) await setImmediate()
          const complaint = wrong(entry.text, false)
          if (complaint) return { message: complaint.message, entry: entry.name }
        }
        const kept = known ?? detached(entry.text)
        next.set(kept, kept)
      }
      accepted = next
      return wrong(skeleton, mustRoute)
    },
  }
}

/** A copy that does not keep the whole file it was cut from in memory. */
const detached = (text: string): string => Buffer.from(text).toString()

interface Entry {
  readonly section: number
  readonly name: string
  readonly text: string
}

function takeApart(text: string): { skeleton: string; entries: Entry[] } {
  const [head = '', ...parts] = text.split(ENTRY_START)
  const skeleton = [head]
  const entries: Entry[] = []
  let section = 0
  let isFirst = true
  for (const part of parts) {
    const end = ENTRY_END.exec(part)
    const entry = end ? part.slice(0, end.index) : part
    entries.push({ section, name: nameOf(entry), text: entry })
    if (isFirst) skeleton.push(PLACEHOLDER)
    isFirst = end !== null
    if (end) {
      skeleton.push(part.slice(end.index + 1))
      section++
    }
  }
  return { skeleton: skeleton.join('\n'), entries }
}

const nameOf = (entry: string): string => /^\s*"?(.*?)"?\s*:(?:\s|$)/.exec(entry)?.[1] ?? ''

function repeats(entries: readonly Entry[]): boolean {
  return new Set(entries.map(({ section, name }) => `${section} ${name}`)).size < entries.length
}

function wrong(text: string, mustRoute: boolean): YamlComplaint | undefined {
  const document = parseDocument(text, { uniqueKeys: true, logLevel: 'error' })
  const message = syntaxComplaint(document) ?? shapeComplaint(document, mustRoute)
  return message === undefined ? undefined : { message }
}

function syntaxComplaint({ errors, warnings }: Document.Parsed): string | undefined {
  const first = errors[0] ?? warnings[0]
  if (first?.code === 'MULTIPLE_DOCS')
    return 'a second document begins, which Traefik would ignore; remove the line ---'
  return first?.message.split('\n')[0]?.replace(/:$/, '')
}

function shapeComplaint(document: Document.Parsed, mustRoute: boolean): string | undefined {
  if (document.contents !== null && !isMap(document.contents)) return 'the file is no map'
  if (mustRoute && document.get('http') === undefined) return 'there is no http section, so every route would go'
  let complaint: string | undefined
  visit(document, {
    Pair(_, pair) {
      complaint ??= pairComplaint(pair)
      return complaint === undefined ? undefined : visit.BREAK
    },
  })
  return complaint
}

function pairComplaint({ key, value }: Pair): string | undefined {
  if (!isScalar(key)) return 'a key is not a plain name'
  if (typeof key.value !== 'string') return `the name ${String(key.value)} is read as no text; put it in quotes`
  if (!NEVER_EMPTY.has(key.value)) return undefined
  const empty =
    (isMap(value) && value.items.length === 0) || value === null || (isScalar(value) && value.value === null)
  return empty ? `${key.value} is empty, which Traefik refuses; leave it out` : undefined
}
