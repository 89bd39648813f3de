import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { HostlerError } from '../../lib/errors.js'
import { headerLines, switchHeaders, trailersOf } from './headers.js'
import { flush, type Head, type Relayed, relayBody, relayHead, relayInterim } from './relay.js'
import { tunnel } from './tunnel.js'
import type { Upgrade, Visit } from './visit.js'

/** What an app is asked. */
export interface Question {
  /** With its query. */
  readonly target: string
  /** As a flat list. */
  readonly headers: readonly string[]
  /** Called when the app begins to answer. */
  readonly answered: () => void
}

/** Bytes of headers that an app may answer with. */
const MAX_HEADER_BYTES = 65_536

/**
 * One request to an app and its answer, in HTTP/1.1, on a connection that is this request's alone. Bodies are passed on as
 * they come, neither kept nor limited in time.
 * @throws HostlerError `UPSTREAM_BROKEN` when there is no answer; something of the request may have arrived then
 */
export function exchange(visit: Visit, socket: Socket, question: Question): Promise<Relayed> {
  const { request, ask, signal } = visit
  return new Promise((resolve, reject) => {
    const upstream = httpRequest({
      createConnection: () => (ask.hasBody ? hearing(socket) : socket),
      method: ask.method,
      path: question.target,
      headers: question.headers,
      setHost: false,
      maxHeaderSize: MAX_HEADER_BYTES,
    })
    // Node keeps 2,000 by default and drops the rest without a word; their size is limited anyway.
    upstream.maxHeadersCount = 0
    let isAnswered = false
    const settle = (relayed: Promise<Relayed>) => {
      isAnswered = true
      relayed.then(resolve, reject)
    }
    // After the head of an answer its body tells by itself whether it is whole.
    const breakOff = (cause?: unknown) => isAnswered || reject(broken(cause))
    upstream.on('information', (info) => relayInterim(visit, headOf(info)))
    upstream.once('response', (answer: IncomingMessage) => {
      question.answered()
      settle(relayAnswer(visit, answer))
    })
    upstream.once('upgrade', (answer: IncomingMessage, app: Duplex, head: Buffer) => {
      question.answered()
      settle(switchProtocols(visit, answer, app, head))
    })
    upstream.on('error', breakOff)
    upstream.once('close', () => {
      request.unpipe(upstream)
      breakOff()
    })
    if (signal.aborted) upstream.destroy()
    else signal.addEventListener('abort', () => upstream.destroy(), { once: true })
    sendBody(visit, upstream)
  })
}

/**
 * Lets what the app has said be heard after it stopped listening. An app that refuses a body answers and closes; a socket
 * that fails to write the rest would be closed with the answer unread. What cannot be written is dropped instead: reading
 * tells soon enough that the connection is over.
 */
function hearing(socket: Socket): Socket {
  const write = socket._write.bind(socket)
  socket._write = (chunk, encoding, done) => write(chunk, encoding, () => done())
  const writeMany = socket._writev?.bind(socket)
  if (writeMany) socket._writev = (chunks, done) => writeMany(chunks, () => done())
  return socket
}

const broken = (cause: unknown): HostlerError =>
  new HostlerError('UPSTREAM_BROKEN', 'the app closed the connection without an answer', { cause })

async function relayAnswer(visit: Visit, answer: IncomingMessage): Promise<Relayed> {
  const coding = answer.headers['transfer-encoding']
  try {
    if (coding !== undefined && coding.toLowerCase() !== 'chunked') throw new Error(`its answer is coded as ${coding}`)
    relayHead(visit, headOf(answer))
  } catch (cause) {
    answer.destroy()
    throw broken(cause)
  }
  return relayBody(visit, answer, { isWhole: () => answer.complete, trailers: () => answer.rawTrailers })
}

const headOf = ({
  statusCode = 502,
  statusMessage = '',
  rawHeaders,
}: Pick<IncomingMessage, 'statusCode' | 'statusMessage' | 'rawHeaders'>): Head => ({
  status: statusCode,
  message: statusMessage,
  headers: rawHeaders,
})

/** The app agrees to another protocol: from here on there are only bytes. */
async function switchProtocols(visit: Visit, answer: IncomingMessage, app: Duplex, fromApp: Buffer): Promise<Relayed> {
  if (!visit.upgrade) {
    app.destroy()
    throw broken(new Error('it changed to a protocol that nobody had asked for'))
  }
  const { socket, protocol } = visit.upgrade
  const { message, headers } = headOf(answer)
  writeSwitch(visit, visit.upgrade, message, switchHeaders(headers, protocol))
  await tunnel(socket, app, { fromClient: visit.upgrade.takeEarly(), fromApp })
  return 'answered'
}

/** Writes the 101 past node:http, which has no word for what follows. */
export function writeSwitch(
  { response }: Visit,
  { socket }: Upgrade,
  message: string,
  headers: readonly string[],
): void {
  response.detachSocket(socket as Socket)
  socket.write([`HTTP/1.1 101 ${message}`, ...headerLines(headers), '', ''].join('\r\n'), 'latin1')
}

function sendBody({ request, ask }: Visit, upstream: ClientRequest): void {
  if (!ask.hasBody) {
    upstream.end()
    return
  }
  // The app decides by the headers whether it wants a body that waits for 100 Continue.
  flush(upstream)
  request.once('end', () => {
    if (upstream.destroyed) return
    upstream.addTrailers(trailersOf(request.rawTrailers))
    upstream.end()
  })
  request.pipe(upstream, { end: false })
}
