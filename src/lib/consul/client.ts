import { Agent, type Dispatcher } from 'undici'
import { HostlerError } from '../errors.js'
import { withDeadline } from '../signals.js'
import { type ConsulAccess, readAddress } from './address.js'
import { connectionError, statusError } from './failure.js'
import { createConnector } from './tls.js'

/** An answer with status 200, or 404 where the caller takes that for an answer. */
export interface ConsulAnswer {
  /** Parsed JSON; undefined for 404 and for an empty answer. */
  readonly value: unknown
  /** False only for a call with `mayMiss`. */
  readonly found: boolean
  /** From where the next blocking query goes on; undefined where the call has none. */
  readonly index?: number
  /** The same for those calls of an agent that go on from a hash. */
  readonly hash?: string
  /** Something was left out for lack of rights. Only newer servers say so. */
  readonly isFiltered: boolean
}

export interface Wait {
  /** Where the last answer ended. 0: answer at once. */
  readonly index?: number
  readonly hash?: string
  /** The server answers after so long even when nothing has changed. */
  readonly waitMs: number
}

/** That what is asked about is not there (404) is an answer. Otherwise it tells of something that is no Consul. */
export interface Missing {
  readonly mayMiss?: boolean
}

/** The HTTP API of one Consul. Every call throws a HostlerError that names the address, what failed and what to do. */
export interface ConsulClient {
  /** To be shown: without user and password. */
  readonly shown: string
  /** @param path below `/v1`, with its query */
  get(path: string, signal: AbortSignal, missing?: Missing): Promise<ConsulAnswer>
  /** A blocking query. */
  wait(path: string, wait: Wait & Missing, signal: AbortSignal): Promise<ConsulAnswer>
  put(path: string, body: unknown, signal: AbortSignal, missing?: Missing): Promise<ConsulAnswer>
  close(): Promise<void>
}

export interface ConsulLimits {
  /** How long a call may take beyond the time that it was asked to wait. */
  readonly timeoutMs?: number
  readonly maxBytes?: number
}

/** A server takes 200 connections from one address, and others of this host want some too. */
const MAX_CONNECTIONS = 150

/** @throws HostlerError `CONFIG` when address, certificate or key cannot be used */
export function createConsulClient(access: ConsulAccess, limits: ConsulLimits = {}): ConsulClient {
  const { timeoutMs = 10_000, maxBytes = 256 * 1024 * 1024 } = limits
  const address = readAddress(access)
  const agent = new Agent({
    connect: createConnector(access, address, timeoutMs),
    connections: MAX_CONNECTIONS,
    // A blocking query says nothing until something has changed.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: maxBytes,
  })
  const headers = {
    accept: 'application/json',
    ...(access.token !== '' && { 'x-consul-token': access.token }),
    ...(address.authorization !== undefined && { authorization: address.authorization }),
  }

  async function call(
    method: 'GET' | 'PUT',
    path: string,
    { body, waitMs = 0, signal, mayMiss = false }: Missing & { body?: string; waitMs?: number; signal: AbortSignal },
  ): Promise<ConsulAnswer> {
    const what = `${method} ${address.shown}/v1${withoutQuery(path)}`
    const options = { origin: address.origin, path: `${address.prefix}/v1${path}`, method, headers, body: body ?? null }
    // A server adds up to a sixteenth of the wait, so that not all come at once.
    const deadline = { timeoutMs: timeoutMs + waitMs + waitMs / 16, what: 'the whole answer' }
    try {
      const reply = await withDeadline(deadline, signal, (late) => send(agent, { ...options, signal: late }))
      return readReply(what, reply, mayMiss)
    } catch (cause) {
      signal.throwIfAborted()
      throw connectionError(what, cause, access)
    }
  }

  return {
    shown: address.shown,
    get: (path, signal, missing) => call('GET', path, { ...missing, signal }),
    put: (path, body, signal, missing) =>
      call('PUT', path, { ...missing, signal, ...(body !== undefined && { body: JSON.stringify(body) }) }),
    wait: (path, { index, hash, waitMs, ...missing }, signal) => {
      const since = hash === undefined ? `index=${index ?? 0}` : `hash=${encodeURIComponent(hash)}`
      const query = `${path.includes('?') ? '&' : '?'}${since}&wait=${Math.ceil(waitMs / 1000)}s`
      return call('GET', path + query, { ...missing, signal, waitMs })
    },
    close: () => agent.destroy(),
  }
}

/** A filter or a reason says nothing to whoever reads of a failure. */
const withoutQuery = (path: string): string => path.replace(/\?.*$/, '')

interface Reply {
  readonly status: number
  readonly text: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

async function send(agent: Agent, options: Dispatcher.RequestOptions & { origin: string }): Promise<Reply> {
  const { statusCode, headers, body } = await agent.request(options)
  return { status: statusCode, headers, text: await body.text() }
}

function readReply(what: string, { status, text, headers }: Reply, mayMiss: boolean): ConsulAnswer {
  if (status !== 200 && !(status === 404 && mayMiss)) throw statusError(what, status, text)
  const index = Number(headers['x-consul-index'] ?? Number.NaN)
  const hash = headers['x-consul-contenthash']
  return {
    value: status === 404 || text.trim() === '' ? undefined : parse(what, text),
    found: status === 200,
    isFiltered: String(headers['x-consul-results-filtered-by-acls'] ?? '') === 'true',
    ...(Number.isSafeInteger(index) && { index }),
    ...(typeof hash === 'string' && { hash }),
  }
}

function parse(what: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new HostlerError(
      'CONSUL_ANSWER',
      `${what} was answered with ${text.length} characters that are not JSON; is that a Consul?`,
    )
  }
}

/** From where to go on: from the start when the server has lost its state, for then its count begins anew. */
export const nextIndex = (last: number, answered: number | undefined): number =>
  answered === undefined || answered < 1 || answered < last ? 0 : answered
