import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { Socket } from 'node:net'
import { HostlerError } from '../../lib/errors.js'
import type { Question } from './exchange.js'
import { pairs, trailersOf } from './headers.js'
import { type Head, type Relayed, relayBody, relayHead, relayInterim } from './relay.js'
import type { Visit } from './visit.js'

/**
 * One request to an app that speaks HTTP/2 without TLS from the first byte (gRPC), and its answer with its trailers.
 * @throws HostlerError `UPSTREAM_BROKEN` when there is no answer; something of the request may have arrived then
 */
export async function exchangeH2c(visit: Visit, socket: Socket, question: Question): Promise<Relayed> {
  if (visit.upgrade) {
    socket.destroy()
    throw new HostlerError('UPSTREAM_BROKEN', `the app speaks HTTP/2, which cannot change to ${visit.upgrade.protocol}`)
  }
  const session = connect('http://app', { createConnection: () => socket })
  // What breaks the session breaks its one stream, which tells.
  session.on('error', () => undefined)
  try {
    return await converse(visit, session, question)
  } finally {
    session.destroy()
  }
}

function converse(visit: Visit, session: ClientHttp2Session, question: Question): Promise<Relayed> {
  const { request, ask, signal } = visit
  return new Promise((resolve, reject) => {
    const stream = session.request(toHttp2(visit, question), { endStream: !ask.hasBody, waitForTrailers: ask.hasBody })
    let trailers: readonly string[] = []
    let isAnswered = false
    // After the head of an answer its body tells by itself whether it is whole.
    const breakOff = (cause?: unknown) => isAnswered || reject(broken(cause))
    stream.on('headers', (...[, , raw]: Received) => relayInterim(visit, headOf(raw)))
    stream.once('response', (...[, , raw]: Received) => {
      isAnswered = true
      question.answered()
      relayAnswer(visit, stream, headOf(raw), () => trailers).then(resolve, reject)
    })
    stream.once('trailers', (...[, , raw]: Received) => {
      trailers = raw
    })
    stream.on('error', breakOff)
    stream.once('close', () => {
      request.unpipe(stream)
      breakOff()
    })
    if (signal.aborted) stream.close(constants.NGHTTP2_CANCEL)
    else signal.addEventListener('abort', () => stream.close(constants.NGHTTP2_CANCEL), { once: true })
    if (ask.hasBody) sendBody(visit, stream)
  })
}

const broken = (cause: unknown): HostlerError =>
  new HostlerError('UPSTREAM_BROKEN', 'the app closed the connection without an answer', { cause })

async function relayAnswer(
  visit: Visit,
  stream: ClientHttp2Stream,
  head: Head,
  trailers: () => readonly string[],
): Promise<Relayed> {
  try {
    relayHead(visit, head)
  } catch (cause) {
    stream.destroy()
    throw broken(cause)
  }
  // node:http2 ends a stream that was reset like one that came to its end.
  return relayBody(visit, stream, { isWhole: () => !stream.rstCode, trailers })
}

/** What node:http2 gives with each block of headers; its types leave the raw list out. */
type Received = [headers: unknown, flags: unknown, raw: readonly string[]]

/** HTTP/2 knows no reason phrases; its pseudo headers are no headers. */
function headOf(raw: readonly string[]): Head {
  const status = Number([...pairs(raw)].find(([name]) => name === ':status')?.[1] ?? 502)
  const headers = [...pairs(raw)].filter(([name]) => !name.startsWith(':')).flat()
  return { status, message: '', headers }
}

/** Names that HTTP/2 has pseudo headers for, or forbids. */
const NOT_IN_HTTP2: ReadonlySet<string> = new Set(['connection', 'host', 'transfer-encoding', 'upgrade'])

function toHttp2({ ask }: Visit, { target, headers }: Question): OutgoingHttpHeaders {
  const fields: Record<string, string | string[]> = {
    ':method': ask.method,
    ':path': target,
    ':scheme': 'http',
    ':authority': ask.host,
  }
  for (const [name, value] of pairs(headers)) {
    const known = fields[name]
    if (NOT_IN_HTTP2.has(name)) continue
    fields[name] = known === undefined ? value : [known, value].flat()
  }
  return fields
}

function sendBody({ request }: Visit, stream: ClientHttp2Stream): void {
  stream.once('wantTrailers', () => {
    const fields: Record<string, string | string[]> = {}
    for (const [name, value] of trailersOf(request.rawTrailers)) {
      const known = fields[name]
      fields[name] = known === undefined ? value : [known, value].flat()
    }
    stream.sendTrailers(fields)
  })
  request.pipe(stream)
}
