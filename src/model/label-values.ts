import { isIP } from 'node:net'
import { parseDuration } from '../lib/duration.js'

/**
 * Readers of single label values. A label is somebody else's text: each reader either returns a value that is safe in
 * every place of a proxy's file where it may land, or a complaint for the person who wrote it. Nothing is ever "escaped
 * into shape".
 */
export type Read<T> = { readonly value: T } | { readonly complaint: Complaint }

export interface Complaint {
  readonly reason: string
  readonly remedy: string
}

/** A hostname; a wildcard's starts with `*.` and stands for exactly one more label. */
export interface HostPattern {
  readonly host: string
  readonly wildcard: boolean
}

const ok = <T>(value: T): Read<T> => ({ value })
const bad = (reason: string, remedy: string): Read<never> => ({ complaint: { reason, remedy } })

const DNS_LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/

/** A DNS name: labels of letters, digits, `-` and `_`; at most 253 characters; lower-cased. A trailing dot is dropped. */
export function readHost(text: string): Read<HostPattern> {
  const host = text.toLowerCase().replace(/\.$/, '')
  const wildcard = host.startsWith('*.')
  const name = wildcard ? host.slice(2) : host
  if (name.includes('*')) return bad('a wildcard may only be the whole first label', 'write *.example.com')
  if (/[^\u0000-\u007f]/.test(name)) return bad('it is not ASCII', 'write the xn-- form of the name')
  if (name.length > 253 || !name.split('.').every((label) => DNS_LABEL.test(label))) {
    return bad('it is not a DNS name', 'use letters, digits, - and dots')
  }
  return ok({ host, wildcard })
}

/** A port that can be connected to: 1 to 65535. */
export function readPort(text: string): Read<number> {
  const port = /^\d{1,5}$/.test(text.trim()) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? ok(port) : bad('it is not a port', 'write a number from 1 to 65535')
}

/**
 * A path prefix: starts with `/`, printable ASCII without white space, quotes, backslash, `#`, `?`, braces, `%` or
 * backticks. A trailing slash is dropped.
 */
export function readPath(text: string): Read<string> {
  if (!text.startsWith('/')) return bad('a path starts with /', `write /${printable(text).slice(0, 40)}`)
  if (!/^[A-Za-z0-9/._~!$&()*+,;=:@-]{1,1024}$/.test(text)) {
    return bad(
      'a path may not hold that',
      'use letters, digits and / . _ ~ - + , ; = : @ ! $ & ( ) *; at most 1024 characters',
    )
  }
  return ok(text.replace(/\/+$/, '') || '/')
}

/** `NAME=VALUE`: a token and a cookie value (RFC 6265), without quotes and `%`. */
export function readCookie(text: string): Read<{ name: string; value: string }> {
  const match = /^([A-Za-z0-9_.-]{1,128})=([A-Za-z0-9_.~!$&()*+:@/=-]{1,1024})$/.exec(text.trim())
  if (!match?.[1] || !match[2]) return bad('it is not a cookie', 'write NAME=VALUE with letters, digits, - _ and .')
  return ok({ name: match[1], value: match[2] })
}

export function readBoolean(text: string): Read<boolean> {
  const word = text.trim().toLowerCase()
  if (['true', 'yes', 'on', '1'].includes(word)) return ok(true)
  if (['false', 'no', 'off', '0'].includes(word)) return ok(false)
  return bad('it is neither true nor false', 'write true or false')
}

export const readWhole =
  (min: number, max: number) =>
  (text: string): Read<number> => {
    const number = /^\d{1,9}$/.test(text.trim()) ? Number(text) : Number.NaN
    return number >= min && number <= max
      ? ok(number)
      : bad('it is not in range', `write a whole number from ${min} to ${max}`)
  }

export const readWord =
  <const T extends string>(...words: T[]) =>
  (text: string): Read<T> => {
    const word = words.find((known) => known === text.trim().toLowerCase())
    return word === undefined ? bad('it is none of the known words', `write ${words.join(', ')}`) : ok(word)
  }

/** Milliseconds. */
export function readDuration(text: string): Read<number> {
  const ms = parseDuration(text.trim())
  return ms === undefined ? bad('it is not a duration', 'write 500ms, 10s, 15m, 2h, 1d or 0') : ok(ms)
}

/** `200`, `200-399`, or a comma list of those; 100 to 599. */
export function readStatusRange(text: string): Read<string> {
  const parts = text.replaceAll(' ', '').split(',')
  const valid = parts.every((part) => {
    const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(part)
    return match !== null && Number(match[2] ?? match[1]) >= Number(match[1])
  })
  return valid && parts.length <= 20
    ? ok(parts.join(','))
    : bad('it is no status range', 'write 200, 200-399 or 200,204')
}

/**
 * What an active check asks for: a path, or a URL on the container itself (an app cannot make us call anybody else).
 * @param own names and addresses that mean the container
 */
export function readHealthCheck(text: string, own: readonly string[]): Read<{ path: string; port?: number }> {
  if (!/^https?:\/\//i.test(text)) return readCheckPath(text)
  if (!URL.canParse(text)) return bad('it is no URL', 'write a path such as /healthz')
  const url = new URL(text)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (!['localhost', '127.0.0.1', '::1', ...own].includes(host)) {
    return bad('it points elsewhere than its own container', 'write a path such as /healthz')
  }
  const path = readCheckPath(url.pathname + url.search)
  if ('complaint' in path) return path
  return ok(url.port === '' ? path.value : { ...path.value, port: Number(url.port) })
}

function readCheckPath(text: string): Read<{ path: string }> {
  const match = /^\/[A-Za-z0-9/._~!$&()*+,;=:@?-]{0,1024}$/.test(text)
  return match ? ok({ path: text }) : bad('it is no path', 'write a path such as /healthz, without quotes, spaces or %')
}

/** A name for a network, stack, service or group: one printable word. */
export function readName(text: string): Read<string> {
  const name = text.trim()
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(name)
    ? ok(name)
    : bad('it is not a name', 'use letters, digits, dots, - and _; at most 128')
}

/** What predecessor 1's proxy label may add to a server line, word by word. */
const SERVER_OPTIONS = new Set(['check', 'backup', 'ssl', 'check-send-proxy', 'check-ssl'])
const SERVER_OPTIONS_WITH_VALUE: Readonly<Record<string, RegExp>> = {
  inter: /^\d{1,6}(ms|s|m)?$/,
  fastinter: /^\d{1,6}(ms|s|m)?$/,
  downinter: /^\d{1,6}(ms|s|m)?$/,
  rise: /^\d{1,3}$/,
  fall: /^\d{1,3}$/,
  weight: /^\d{1,3}$/,
  maxconn: /^\d{1,6}$/,
  verify: /^none$/,
}
const SEND_PROXY: Readonly<Record<string, 'v1' | 'v2' | 'v2-ssl' | 'v2-ssl-cn'>> = {
  'send-proxy': 'v1',
  'send-proxy-v2': 'v2',
  'send-proxy-v2-ssl': 'v2-ssl',
  'send-proxy-v2-ssl-cn': 'v2-ssl-cn',
}

export interface ServerLineOptions {
  readonly proxyProtocol?: 'v1' | 'v2' | 'v2-ssl' | 'v2-ssl-cn'
  readonly options: readonly string[]
}

/** The value of the operator's proxy label: `send-proxy-v2`, `send-proxy check inter 5s`, … */
export function readServerOptions(text: string): Read<ServerLineOptions> {
  const words = text.trim().split(/ +/).filter(Boolean)
  const options: string[] = []
  let proxyProtocol: ServerLineOptions['proxyProtocol']
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? ''
    const pattern = SERVER_OPTIONS_WITH_VALUE[word]
    const value = words[index + 1] ?? ''
    if (Object.hasOwn(SEND_PROXY, word)) {
      proxyProtocol = SEND_PROXY[word]
    } else if (SERVER_OPTIONS.has(word)) {
      options.push(word)
    } else if (Object.hasOwn(SERVER_OPTIONS_WITH_VALUE, word) && pattern?.test(value)) {
      options.push(`${word} ${value}`)
      index++
    } else {
      return bad(
        'it holds a server option that is not allowed here',
        'write send-proxy, send-proxy-v2, check, inter 5s, …',
      )
    }
  }
  return ok(proxyProtocol ? { proxyProtocol, options } : { options })
}

/** A stranger's text made fit to be shown on one line: control and non-ASCII characters escaped, 120 characters. */
export function printable(text: string): string {
  const short = text.length > 120 ? `${text.slice(0, 117)}...` : text
  return short.replace(/[^\u0020-\u007e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Whether a text can be a server's address: an IP address or a DNS name. */
export const isAddress = (text: string): boolean => isIP(text) !== 0 || 'value' in readHost(text)
