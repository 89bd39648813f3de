import type { Visit } from './visit.js'

/**
 * Headers on their way through, as the flat lists of names and values that node:http takes and gives, so that order,
 * case and repetition stay. What concerns one connection only is left out (RFC 9110, section 7.6.1).
 */
type RawHeaders = readonly string[]

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])

/** A Connection header may not name these away: they would let a client hide who it is, or what was asked, from the app. */
const isEndToEnd = (name: string): boolean =>
  /^(?:x-forwarded-|content-length$|cookie$|authorization$|host$|expect$|trailer$|x-real-ip$|x-hostler-)/.test(name)

/** Bodies of these methods are rare enough that no length means none to everybody. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'])

export interface RequestHeaderOptions {
  /** The prefix that was cut off the path. */
  readonly prefix: string | undefined
  /** What marks a request that has been here. */
  readonly mark: string
}

/** Marks requests that we sent on, so that one which comes back is refused rather than sent on for ever. */
export const MARK_HEADER = 'X-Hostler-Mark'

/** The headers that an app gets. */
export function requestHeaders(visit: Visit, { prefix, mark }: RequestHeaderOptions): string[] {
  const { request, ask, upgrade } = visit
  const isChunked = request.headers['transfer-encoding'] !== undefined
  const headers = endToEnd(request.rawHeaders, isChunked)
  headers.push(...forwarded(visit, prefix), MARK_HEADER, mark)
  if (/(?:^|[,\s])trailers(?:$|[,;\s])/i.test(String(request.headers['te'] ?? ''))) headers.push('TE', 'trailers')
  if (isChunked) headers.push('Transfer-Encoding', 'chunked')
  // Without it, node:http would call the body chunked.
  else if (!ask.hasBody && !BODILESS.has(ask.method) && request.headers['content-length'] === undefined) {
    headers.push('Content-Length', '0')
  }
  headers.push('Connection', upgrade ? 'Upgrade' : 'close')
  if (upgrade) headers.push('Upgrade', upgrade.protocol)
  return headers
}

/** X-Forwarded-For and friends stay as the proxy has set them; without a proxy they are ours to set. */
function* forwarded({ request, ask }: Visit, prefix: string | undefined): Generator<string> {
  const { headers, socket } = request
  if (headers['x-forwarded-for'] === undefined) yield* ['X-Forwarded-For', plainAddress(socket.remoteAddress)]
  if (headers['x-forwarded-proto'] === undefined) yield* ['X-Forwarded-Proto', 'http']
  if (headers['x-forwarded-host'] === undefined) yield* ['X-Forwarded-Host', ask.host]
  if (prefix !== undefined && headers['x-forwarded-prefix'] === undefined) yield* ['X-Forwarded-Prefix', prefix]
}

/** An IPv4 address that a socket for both families shows as IPv6. */
export const plainAddress = (address = ''): string => address.replace(/^::ffff:(?=[\d.]+$)/, '')

/** The headers that a client gets. `mayTrail`: the answer can end in trailers. */
export function responseHeaders(raw: RawHeaders, mayTrail: boolean): string[] {
  return endToEnd(raw, mayTrail && !has(raw, 'content-length'))
}

/** The headers of a 101: the one answer in which Upgrade is for the client. */
export function switchHeaders(raw: RawHeaders, protocol: string): string[] {
  return [...endToEnd(raw, false), 'Connection', 'Upgrade', 'Upgrade', protocol]
}

/** @param mayTrail node:http takes no Trailer header with a body that is not chunked */
function endToEnd(raw: RawHeaders, mayTrail: boolean): string[] {
  const dropped = new Set(HOP_BY_HOP)
  for (const [name, value] of pairs(raw)) {
    if (name === 'connection') for (const word of words(value)) if (!isEndToEnd(word)) dropped.add(word)
  }
  if (!mayTrail) dropped.add('trailer')
  const kept: string[] = []
  for (let index = 0; index < raw.length; index += 2) {
    const [name = '', value = ''] = [raw[index], raw[index + 1]]
    if (!dropped.has(name.toLowerCase())) kept.push(name, value)
  }
  return kept
}

const words = (value: string): string[] =>
  value
    .toLowerCase()
    .split(',')
    .map((word) => word.trim())

const has = (raw: RawHeaders, wanted: string): boolean => [...pairs(raw)].some(([name]) => name === wanted)

/** Trailers say nothing of how a message is framed or routed. */
const NO_TRAILER: ReadonlySet<string> = new Set([...HOP_BY_HOP, 'content-length', 'host', 'trailer'])

export const trailersOf = (raw: RawHeaders): [string, string][] =>
  [...pairs(raw)].filter(([name]) => !NO_TRAILER.has(name))

/** As they are written on the wire. */
export const headerLines = (raw: RawHeaders): string[] =>
  Array.from({ length: raw.length / 2 }, (_, index) => `${raw[index * 2]}: ${raw[index * 2 + 1]}`)

/** Names in lower case. */
export function* pairs(raw: RawHeaders): Generator<[name: string, value: string]> {
  for (let index = 0; index < raw.length; index += 2) yield [(raw[index] ?? '').toLowerCase(), raw[index + 1] ?? '']
}
