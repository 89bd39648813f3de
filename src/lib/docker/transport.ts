import type { IncomingMessage } from 'node:http'
import { HostlerError } from '../errors.js'
import { printable } from '../printable.js'
import { createDockerode } from './dockerode.js'
import type { Endpoint } from './endpoint.js'

/**
 * Requests through dockerode's modem, answers always as a stream: its own reading of answers has no bound, turns broken
 * JSON into a Buffer, and never settles when the connection ends in the middle of an answer.
 */
export interface Transport {
  /** The response, whatever its status; its body is yet to be read. */
  get(path: string, query: Query, signal: AbortSignal): Promise<IncomingMessage>
  /** The same for any method; `body` is sent as JSON with POST. */
  send(method: Method, path: string, content: Content, signal: AbortSignal): Promise<IncomingMessage>
}

export type Query = Readonly<Record<string, unknown>>
export type Method = 'GET' | 'POST' | 'DELETE'
export interface Content {
  readonly query?: Query
  readonly body?: Readonly<Record<string, unknown>>
}

export function createTransport(endpoint: Endpoint): Transport {
  const { modem } = createDockerode(endpoint)
  const send: Transport['send'] = (method, path, { query = {}, body = {} }, signal) =>
    new Promise((resolve, reject) => {
      const request = {
        ...{ path: `${path}?`, method, options: { _query: query, _body: body }, abortSignal: signal },
        ...{ isStream: true, statusCodes: EVERY_STATUS },
      }
      modem.dial(request, (error: unknown, answer: unknown) => {
        if (error) return reject(error)
        const response = answer as IncomingMessage
        // A late error, after the last reader left, must not end the process.
        response.on('error', () => undefined)
        signal.addEventListener('abort', () => response.destroy(), { once: true })
        resolve(response)
      })
    })
  return { send, get: (path, query, signal) => send('GET', path, { query }, signal) }
}

const EVERY_STATUS: Readonly<Record<string, true>> = Object.fromEntries(
  Array.from({ length: 500 }, (_, index) => [String(index + 100), true]),
)

/** @throws HostlerError `DOCKER_ANSWER` for any status but 200, a body larger than `maxBytes`, or one that is no JSON. */
export async function readJson(response: IncomingMessage, maxBytes: number): Promise<unknown> {
  if (response.statusCode !== 200) await refuse(response)
  const body = await readBody(response, maxBytes)
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw new HostlerError('DOCKER_ANSWER', 'it answered with something that is no JSON', { cause })
  }
}

/** Throws what an answer that is not 200 says. */
export async function refuse(response: IncomingMessage): Promise<never> {
  const body = await readBody(response, MAX_ERROR_BYTES)
  throw new HostlerError('DOCKER_ANSWER', `it answered ${response.statusCode}: ${complaintOf(body)}`)
}

export const MAX_ERROR_BYTES = 64 * 1024

/** @throws HostlerError `DOCKER_ANSWER` when it is larger than `maxBytes`, and whatever ends it in the middle */
export async function readBody(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw new HostlerError('DOCKER_ANSWER', `its answer is larger than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** What an answer that is an error says, as one printable line. */
export function complaintOf(body: string): string {
  let text = body
  try {
    text = String((JSON.parse(body) as { message?: unknown }).message ?? body)
  } catch {}
  return printable(text, 300)
}
