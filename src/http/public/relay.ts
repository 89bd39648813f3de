import type { OutgoingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { headerLines, responseHeaders, trailersOf } from './headers.js'
import type { Visit } from './visit.js'

/** `cut`: it ended before it was whole, because the app or the client went away. */
export type Relayed = 'answered' | 'cut'

export interface Head {
  readonly status: number
  /** The reason phrase, which may be empty. */
  readonly message: string
  /** As a flat list. */
  readonly headers: readonly string[]
}

/** What is known when a body has ended. */
export interface Ending {
  readonly isWhole: () => boolean
  /** As a flat list. */
  readonly trailers: () => readonly string[]
}

/** Sends the head of the app's answer, at once: what it is the head of may be an event stream that is silent for long. */
export function relayHead({ request, response, ask }: Visit, { status, message, headers }: Head): void {
  const mayTrail = request.httpVersion === '1.1' && ask.method !== 'HEAD' && status !== 204 && status !== 304
  response.sendDate = false
  response.writeHead(status, message, responseHeaders(headers, mayTrail))
  flush(response)
}

/** As `flushHeaders` does, which however turns what is no ASCII into UTF-8: headers are bytes, and stay them. */
export const flush = (message: OutgoingMessage): void => void message.write(NO_BYTES)

const NO_BYTES = Buffer.alloc(0)

/** Sends the body of the app's answer as fast as the client takes it, and what trails it. */
export function relayBody({ response }: Visit, body: Readable, { isWhole, trailers }: Ending): Promise<Relayed> {
  return new Promise((resolve) => {
    let whole = false
    const end = () => resolve(response.writableFinished ? 'answered' : 'cut')
    response.once('finish', end).once('close', end)
    response.once('close', () => body.destroy())
    body.once('error', () => response.destroy())
    body.once('close', () => whole || response.destroy())
    body.once('end', () => {
      if (!isWhole()) return void response.destroy()
      whole = true
      response.addTrailers(trailersOf(trailers()))
      response.end()
    })
    body.pipe(response, { end: false })
  })
}

/**
 * Passes on what comes before the answer: 100 Continue, 103 Early Hints. node:http writes only three of them, and each
 * with headers of its own choice.
 */
export function relayInterim({ request, response }: Visit, { status, message, headers }: Head): void {
  const waitsForContinue = request.headers.expect !== undefined
  if (request.httpVersion !== '1.1' || status === 101 || (status === 100 && !waitsForContinue)) return
  if (!isOnWire(response) || response.headersSent) return
  const head = [`HTTP/1.1 ${status} ${message}`, ...headerLines(responseHeaders(headers, false)), '', '']
  response.socket.write(head.join('\r\n'), 'latin1')
}

/** Its turn has come among the answers of a connection. */
const isOnWire = (response: ServerResponse): response is ServerResponse & { socket: NonNullable<unknown> } =>
  response.socket?.writable === true
