import type { IncomingMessage } from 'node:http'
import { type Problem, problem } from '../problems.js'

/** What a request asks for, once it is known to mean the same to everybody who reads it. */
export interface Ask {
  readonly method: string
  /** The Host header as it came; nothing when there is none. */
  readonly host: string
  readonly path: string
  /** With its question mark; nothing without one. */
  readonly query: string
  readonly cookie: string | undefined
  readonly hasBody: boolean
}

/**
 * Node's parser has refused what is ambiguous in itself (lengths that contradict each other, spaces before colons, bare
 * line feeds). What is left is what the next one in line could read otherwise than we do.
 */
export function readAsk(request: IncomingMessage): Ask | Problem {
  const { method = '', headers, httpVersion } = request
  const coding = headers['transfer-encoding']
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return problem(505, 'HTTP/1.1 and HTTP/1.0 are spoken here.')
  if (countOf(request.rawHeaders, 'host') > 1) return problem(400, 'There is more than one Host header.')
  if (headers.host === undefined && httpVersion === '1.1') return problem(400, 'There is no Host header.')
  if (coding !== undefined && httpVersion === '1.0') return problem(400, 'HTTP/1.0 has no Transfer-Encoding.')
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return problem(501, 'The only Transfer-Encoding that is understood is chunked.')
  }
  const host = headers.host ?? ''
  const target = targetOf(request, host)
  if (target === undefined) return problem(400, 'The address of the request is not one of this host.')
  const [path = '', query] = splitAt(target, '?')
  return {
    method,
    host,
    path,
    query: query === undefined ? '' : `?${query}`,
    cookie: headers.cookie,
    hasBody: coding !== undefined || ![undefined, '0'].includes(headers['content-length']),
  }
}

export const isProblem = (asked: Ask | Problem): asked is Problem => 'status' in asked

/** Path and query, from a target in any of the forms that RFC 9112 section 3.2 allows to others than CONNECT. */
function targetOf({ url = '', method }: IncomingMessage, host: string): string | undefined {
  if (url.includes('#')) return undefined
  if (url.startsWith('/')) return url
  if (url === '*') return method === 'OPTIONS' ? url : undefined
  const [, authority, rest = ''] = /^https?:\/\/([^/?]*)(.*)$/i.exec(url) ?? []
  if (authority?.toLowerCase() !== host.toLowerCase()) return undefined
  return rest.startsWith('/') ? rest : `/${rest}`
}

function splitAt(text: string, separator: string): [string, string?] {
  const place = text.indexOf(separator)
  return place === -1 ? [text] : [text.slice(0, place), text.slice(place + 1)]
}

const countOf = (raw: readonly string[], name: string): number =>
  raw.filter((text, index) => index % 2 === 0 && text.toLowerCase() === name).length
