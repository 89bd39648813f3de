import type { NodeText } from './policy.js'

/**
 * What a policy gave, as nodes: an object of paths and values, several of those, or none at all. A value that is null or
 * undefined is left out, a string is stored as it is, and anything else as JSON.
 * @throws TypeError for what is none of these
 */
export async function readNodes(given: unknown): Promise<NodeText[]> {
  const result = await given
  if (result === undefined || result === null) return []
  if (isPlain(result)) return textsOf(result)
  if (!isIterable(result)) throw new TypeError(`gave ${kindOf(result)}, not an object of paths and values`)
  const nodes: NodeText[] = []
  for await (const part of result) {
    if (part === undefined || part === null) continue
    if (!isPlain(part)) throw new TypeError(`yielded ${kindOf(part)}, not an object of paths and values`)
    nodes.push(...textsOf(part))
    if (nodes.length > MAX_NODES) throw new TypeError(`gave more than ${MAX_NODES} nodes for one container`)
  }
  return nodes
}

const MAX_NODES = 10_000
/** A transaction may hold a value three times, and etcd takes requests of 1.5 MiB by default. */
const MAX_VALUE_BYTES = 384 << 10

function textsOf(part: object): NodeText[] {
  return Object.entries(part).flatMap(([path, value]): NodeText[] => {
    if (value === undefined || value === null) return []
    return [[path, wellFormed(textOf(path, value))]]
  })
}

/** Half a character cannot be stored, and what is read again would differ from what was written. */
const wellFormed = (text: string): string => (/\p{Cs}/u.test(text) ? Buffer.from(text).toString() : text)

function textOf(path: string, value: unknown): string {
  if (typeof value === 'string') return value
  const text = typeof value === 'bigint' ? undefined : JSON.stringify(value)
  if (text === undefined) throw new TypeError(`gave ${path} ${kindOf(value)}, which is neither text nor JSON`)
  return text
}

const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isIterable(value)

function isIterable(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value)
}

const kindOf = (value: unknown): string =>
  typeof value === 'object' ? 'an object of another kind' : `a ${typeof value}`

/** Why this cannot be a node; undefined when it can. */
export function mistakeIn(
  [path, value]: NodeText,
  { prefix, reserved }: { prefix: string | undefined; reserved: string },
): string | undefined {
  const shown = JSON.stringify(path.slice(0, 200))
  if (!/^(?:\/[^/\p{Cc}\p{Cs}]+)+$/u.test(path) || path.length > 1000)
    return `${shown} is no path of a node; write /one/two, without a slash at the end`
  if (path.startsWith(reserved)) return `${shown} is among the keys that Hostler keeps for itself`
  if (prefix !== undefined && path !== prefix && !path.startsWith(`${prefix}/`))
    return `${shown} is outside ${prefix}, where this policy's nodes lie`
  const bytes = Buffer.byteLength(value)
  if (bytes > MAX_VALUE_BYTES) return `${shown} has a value of ${bytes} bytes; ${MAX_VALUE_BYTES} (384 KiB) is the most`
  return undefined
}
