import { parse, YAMLParseError } from 'yaml'
import { HostlerError } from '../../lib/errors.js'
import { didYouMean } from '../../lib/nearest.js'

/** One item of the `instances` list, not validated yet. The same `key` always stands for the same value. */
export interface Entry {
  readonly key: string
  readonly value: () => unknown
}

/**
 * Reads the text of an instances file, YAML or JSON, into its entries. `isKnown` names keys whose value is not needed
 * again: reading YAML costs 50 ms per thousand entries, so an edit of one entry must not read them all.
 */
export function readEntries(text: string, path: string, isKnown: (key: string) => boolean): Entry[] {
  if (/^\s*\{/.test(text)) {
    const document = tryJson(text)
    if (document !== undefined) return toEntries(document, path)
  }
  return readInPieces(text, isKnown) ?? toEntries(readYaml(text, path), path)
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function readYaml(text: string, path: string): unknown {
  try {
    return parse(text)
  } catch (cause) {
    const where = cause instanceof YAMLParseError ? cause.linePos?.[0] : undefined
    const position = where ? `, line ${where.line}` : ''
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause)
    throw new HostlerError('file-syntax', `${path}${position} is not YAML: ${reason}`)
  }
}

function toEntries(document: unknown, path: string): Entry[] {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new HostlerError(
      'file-shape',
      `${path} does not hold an \`instances:\` list; write \`instances: []\` for none`,
    )
  }
  for (const key of Object.keys(document)) {
    if (key !== 'instances') {
      const hint = didYouMean(key, ['instances'])
      throw new HostlerError('file-shape', `${path}: unknown field ${JSON.stringify(key.slice(0, 60))}.${hint}`)
    }
  }
  const list = 'instances' in document ? document.instances : undefined
  if (!Array.isArray(list)) {
    throw new HostlerError('file-shape', `${path}: \`instances\` must be a list; write \`instances: []\` for none`)
  }
  return list.map((value: unknown) => ({ key: JSON.stringify(value), value: () => value }))
}

/** How many entries are read together: enough to be quick, few enough to keep the syntax tree small. */
const BATCH = 500

/**
 * A plain block list is cut at its dashes, and only the pieces that are new are read. Undefined when the document is
 * anything else, or wrong: then it is read as a whole, which also tells the line of a mistake.
 */
function readInPieces(text: string, isKnown: (key: string) => boolean): Entry[] | undefined {
  const pieces = cutAtDashes(text)
  if (pieces === undefined) return undefined
  const fresh = [...new Set(pieces)].filter((piece) => !isKnown(piece))
  const values = new Map<string, unknown>()
  for (let start = 0; start < fresh.length; start += BATCH) {
    const batch = fresh.slice(start, start + BATCH)
    const read = tryYamlList(batch.join('\n'))
    if (read?.length !== batch.length) return undefined
    for (const [index, piece] of batch.entries()) values.set(piece, read[index])
  }
  return pieces.map((key) => ({ key, value: () => values.get(key) }))
}

function tryYamlList(text: string): unknown[] | undefined {
  try {
    const list: unknown = parse(text, { prettyErrors: false })
    return Array.isArray(list) ? list : undefined
  } catch {
    return undefined
  }
}

/** The text of each item; undefined unless every line is clearly part of one and no anchor ties items together. */
function cutAtDashes(text: string): string[] | undefined {
  const head = /^\uFEFF?(?:---[ \t]*\r?\n)?(?:[ \t]*(?:#.*)?\r?\n)*instances:[ \t]*(?:#.*)?\r?\n/.exec(text)
  if (!head || /(?:^|[\s,[{:])[&*][^\s]/.test(text)) return undefined
  const lines = text.slice(head[0].length).split(/\r?\n/)
  const indent = / *(?=- )/y.exec(lines.find((line) => !/^\s*(?:#|$)/.test(line)) ?? '')?.[0]
  if (indent === undefined) return undefined
  return cutLines(lines, indent)
}

function cutLines(lines: readonly string[], indent: string): string[] | undefined {
  const [dash, deeper] = [`${indent}- `, `${indent} `]
  const pieces: string[][] = []
  for (const line of lines) {
    const current = pieces.at(-1)
    if (line.startsWith(dash)) pieces.push([line])
    else if (/^ *(?:#|$)/.test(line)) current?.push(line)
    else if (line.startsWith(deeper) && current) current.push(line)
    else return undefined
  }
  return pieces.map((piece) => piece.join('\n').trimEnd())
}
