import { basename } from 'node:path'

/** A configuration file as HAProxy was given it, under its final path. */
export interface ConfigText {
  readonly path: string
  readonly text: string
}

/** One message of HAProxy, with what it is about where that can be told. */
export interface CheckMessage {
  readonly level: 'alert' | 'warning'
  readonly text: string
  readonly place?: { readonly path: string; readonly line: number }
  /** `backend app-r1`, `frontend web`, `global`: the section in which the line lies. */
  readonly section?: string
}

/**
 * The alerts and warnings of `haproxy -c` (2.6 to 3.x), in final paths. A line that starts without `[LEVEL]` belongs to the
 * message before it. Sentences that only sum up (`Fatal errors found in configuration.`) are left out.
 */
export function parseMessages(output: string, configs: readonly ConfigText[]): CheckMessage[] {
  const messages: { level: string; text: string }[] = []
  for (const line of output.split('\n')) {
    const head = /^\[(\w+)\]\s+\(\d+\)\s*:\s*(.*)$/.exec(line)
    const last = messages.at(-1)
    if (head !== null) messages.push({ level: head[1] ?? '', text: head[2] ?? '' })
    else if (last !== undefined && line.trim() !== '' && !CLOSING.test(line)) last.text += ` ${line.trim()}`
  }
  return messages
    .filter(({ level, text }) => (level === 'ALERT' || level === 'WARNING') && !SUMMARY.test(text))
    .map(({ level, text }) => locate(level === 'ALERT' ? 'alert' : 'warning', text, configs))
}

/** What HAProxy prints behind the messages, without a level. */
const CLOSING = /^(?:Warnings were found\.|Configuration file is valid)\s*$/

const SUMMARY = /Error\(s\) found in configuration file|Fatal errors found in configuration/

function locate(level: CheckMessage['level'], raw: string, configs: readonly ConfigText[]): CheckMessage {
  const match = /^(?:config\s*:\s*)?(?:[Pp]arsing\s+)?\[([^\]]+):(\d+)\]\s*:?\s*([\s\S]*)$/.exec(raw)
  const text = clip((match?.[3] ?? raw.replace(/^config\s*:\s*/, '')).trim())
  const config = configs.find(({ path }) => path === match?.[1])
  if (match === null || config === undefined) return { level, text: match === null ? text : clip(raw) }
  const place = { path: config.path, line: Number(match[2]) }
  const section = sectionAt(config.text, place.line)
  return { level, text, place, ...(section !== undefined && { section }) }
}

const SECTION =
  /^\s*(global|defaults|frontend|backend|listen|resolvers|peers|mailers|userlist|cache|program|http-errors|ring|log-forward|log-profile|fcgi-app|crt-store|traces|acme)(?:\s+(\S+))?\s*(?:#.*|from\s.*)?$/

/** The section that holds this line (counted from 1), as `backend NAME`. */
export function sectionAt(text: string, line: number): string | undefined {
  const lines = text.split('\n', line)
  for (let index = lines.length - 1; index >= 0; index--) {
    const match = SECTION.exec(lines[index] ?? '')
    if (match !== null) return match[2] === undefined ? match[1] : `${match[1]} ${match[2]}`
  }
  return undefined
}

/** The backends that these alerts blame: by the section of the line, or by name in the text. In order of appearance. */
export function culpritsOf(messages: readonly CheckMessage[], configs: readonly ConfigText[]): string[] {
  const declared = new Set(
    configs.flatMap(({ text }) => [...text.matchAll(BACKEND_LINE)].map((match) => match[1] ?? '')),
  )
  const blamed = messages.filter(({ level }) => level === 'alert').flatMap(blamedBy)
  return [...new Set(blamed)].filter((name) => declared.has(name))
}

const BACKEND_LINE = /^[ \t]*(?:backend|listen)[ \t]+(\S+)/gm

const NAMED = [/\b(?:backend|proxy|listen) '([^'\s]+)'/i, /\bserver '?([^'\s/]+)\/[^'\s]+/i]

function blamedBy({ section, text }: CheckMessage): string[] {
  const inSection = /^(?:backend|listen) (\S+)$/.exec(section ?? '')?.[1]
  if (inSection !== undefined) return [inSection]
  return NAMED.flatMap((pattern) => pattern.exec(text)?.[1] ?? [])
}

const SHOWN = 3

/** One line for people: the first alerts with file, line and section. */
export function summarise(messages: readonly CheckMessage[]): string {
  const alerts = messages.filter(({ level }) => level === 'alert')
  const shown = alerts.slice(0, SHOWN).map(sentence)
  const more = alerts.length > SHOWN ? `; and ${alerts.length - SHOWN} more` : ''
  return shown.join('; ') + more
}

export function sentence({ text, place, section }: CheckMessage): string {
  if (place === undefined) return text
  return `${place.path}:${place.line}${section === undefined ? '' : ` (${section})`}: ${text}`
}

/** What to write instead of what older images filled in by text substitution, or of what HAProxy has dropped. */
export function hintsFor(configs: readonly ConfigText[]): string[] {
  return configs.flatMap(({ path, text }) => {
    const lines = text.split('\n')
    return HINTS.flatMap(({ pattern, hint }) => {
      const index = lines.findIndex((line) => pattern.test(line))
      const match = index < 0 ? null : pattern.exec(lines[index] ?? '')
      return match === null ? [] : [`${basename(path)}:${index + 1} has \`${match[1]}\`: ${hint(match[1] ?? '')}`]
    })
  })
}

const SWITCH = (name: string) =>
  `nothing fills it in any more. Put the line between \`.if streq("$${name}",true)\` and \`.endif\` (or delete the marker).`

const HINTS: readonly { pattern: RegExp; hint: (found: string) => string }[] = [
  { pattern: /(#ENABLE_[A-Z_]+#)/, hint: (found) => SWITCH(found.slice(1, -1)) },
  {
    pattern: /(#(?!ENABLE_)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+#)/,
    hint: (found) => `nothing fills it in any more. Write "\${${found.slice(1, -1)}}", in double quotes.`,
  },
  {
    pattern: /^\s*(req(?:i?(?:rep|add|del|deny|allow|pass|tarpit|set)))\b/,
    hint: () => 'HAProxy has dropped it. Write `http-request set-header NAME VALUE` (or del-header, deny, …) instead.',
  },
  {
    pattern: /^\s*(rsp(?:i?(?:rep|add|del|deny|set)))\b/,
    hint: () => 'HAProxy has dropped it. Write `http-response set-header NAME VALUE` (or del-header) instead.',
  },
]

/** HAProxy lists every word that it would have taken, and tells at the end what it found instead. */
const clip = (text: string) => (text.length > 400 ? `${text.slice(0, 250)} … ${text.slice(-150)}` : text)
