import type { IncomingMessage } from 'node:http'
import type { Endpoint } from '../../lib/docker/endpoint.js'
import {
  type Content,
  complaintOf,
  createTransport,
  MAX_ERROR_BYTES,
  type Method,
  readBody,
} from '../../lib/docker/transport.js'
import { HostlerError } from '../../lib/errors.js'
import { withDeadline } from '../../lib/signals.js'
import { RuntimeError, type RuntimeErrorCode } from '../runtime.js'

/**
 * One Docker or Podman service. What it answers is handed on for the caller to judge; that it does not answer, or not
 * in time, or half, is `unreachable`, and nothing is known then of what it did.
 */
export interface Engine {
  call(request: EngineRequest, signal: AbortSignal): Promise<EngineAnswer>
  /** Resolves when the answer begins with status 200; it goes on until it is read, destroyed or aborted. */
  stream(request: EngineRequest, signal: AbortSignal): Promise<IncomingMessage | EngineAnswer>
  /** @returns what an answer that is no success means, as an error */
  refusal(request: EngineRequest, answer: EngineAnswer, code?: RuntimeErrorCode): RuntimeError
}

export interface EngineRequest extends Content {
  /** What is tried, for messages: "starting container app". */
  readonly what: string
  readonly method: Method
  readonly path: string
  readonly timeoutMs: number
}

export interface EngineAnswer {
  readonly status: number
  /** Of a success; undefined when it is empty. @throws RuntimeError `unreachable` when it is no JSON: whatever answers there is no engine */
  json(): unknown
  /** Of anything else: why, as one printable line. */
  readonly complaint: string
}

/** 304: it was so already. */
export const isDone = ({ status }: Pick<EngineAnswer, 'status'>): boolean =>
  (status >= 200 && status < 300) || status === 304

const MAX_ANSWER_BYTES = 8 << 20

export function createEngine(endpoint: Endpoint): Engine {
  const transport = createTransport(endpoint)

  async function attempt<T>(request: EngineRequest, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>) {
    const { what, timeoutMs } = request
    try {
      return await withDeadline({ timeoutMs, what }, signal, work)
    } catch (cause) {
      signal.throwIfAborted()
      if (cause instanceof RuntimeError) throw cause
      throw new RuntimeError(
        'unreachable',
        `${what} at ${endpoint.text} failed; see that the engine runs and can be reached there`,
        { cause },
      )
    }
  }
  const send = ({ method, path, query = {}, body = {} }: EngineRequest, signal: AbortSignal) =>
    transport.send(method, path, { query, body }, signal)

  return {
    call: (request, signal) =>
      attempt(request, signal, async (inner) => readAnswer(await send(request, inner), request.what)),
    async stream(request, signal) {
      // The deadline is for the answer's beginning; what follows lives as long as the caller's signal.
      const response = await attempt(request, signal, () => send(request, signal))
      if (response.statusCode === 200) return response
      return attempt(request, signal, () => readAnswer(response, request.what))
    },
    refusal: ({ what }, { complaint, status }, code = 'refused') =>
      new RuntimeError(code, `${what} was refused by the engine at ${endpoint.text}: ${complaint || status}`),
  }
}

async function readAnswer(response: IncomingMessage, what: string): Promise<EngineAnswer> {
  const status = response.statusCode ?? 0
  const done = isDone({ status })
  const text = await readBody(response, done ? MAX_ANSWER_BYTES : MAX_ERROR_BYTES)
  const complaint = done ? '' : complaintOf(text)
  // Of something between us and the engine.
  if (status >= 502 && status <= 504) throw new HostlerError('DOCKER_ANSWER', `it answered ${status}: ${complaint}`)
  return { status, complaint, json: () => parse(text, what) }
}

function parse(text: string, what: string): unknown {
  if (text.trim() === '') return undefined
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RuntimeError('unreachable', `${what}: what answers there is no container engine`, { cause })
  }
}
