import type { IncomingMessage } from 'node:http'
import { HostlerError } from '../../lib/errors.js'
import { withDeadline } from './deadline.js'
import type { Endpoint } from './endpoint.js'
import { createLimit } from './limit.js'
import { createTransport, readJson, type Transport } from './transport.js'

/** The four questions that the source asks an engine. Every answer is bounded in time and size. */
export interface EngineClient {
  /** Every container, running or not. `podman`: the answer leaves out what Docker's has. */
  list(signal: AbortSignal): Promise<{ entries: unknown[]; podman: boolean }>
  /** One container by id or name; undefined when there is none. At most 16 at once. */
  inspect(id: string, signal: AbortSignal): Promise<unknown>
  /** Newline-delimited JSON; connected when it resolves. Destroy it when done. */
  events(signal: AbortSignal): Promise<IncomingMessage>
  /** The engine runs without root, so its networks are out of this host's reach. Undefined when it cannot be told. */
  isRootless(signal: AbortSignal): Promise<boolean | undefined>
}

const LIST_MS = 30_000
const INSPECT_MS = 10_000
const CONNECT_MS = 10_000
const MAX_LIST_BYTES = 256 << 20
const MAX_INSPECT_BYTES = 8 << 20

/** Podman calls `die` and `destroy` `died` and `remove`. Without this filter every health check is three more events. */
export const FOLLOWED_EVENTS = [
  ...['create', 'start', 'restart', 'die', 'died', 'stop', 'kill', 'pause', 'unpause', 'rename', 'update'],
  ...['destroy', 'remove', 'health_status', 'connect', 'disconnect'],
] as const

export function createEngineClient(endpoint: Endpoint): EngineClient {
  const transport = createTransport(endpoint)
  const limited = createLimit(16)
  const ask = <T>(what: string, timeoutMs: number, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>) =>
    withDeadline({ timeoutMs, what }, signal, work).catch((error: unknown) => {
      signal.throwIfAborted()
      throw new HostlerError(
        'DOCKER',
        `${what} at ${endpoint.text} failed; see that the engine runs and can be reached there`,
        {
          cause: error,
        },
      )
    })
  return {
    list: (signal) => ask('listing the containers', LIST_MS, signal, (inner) => list(transport, inner)),
    inspect: (id, signal) =>
      limited(() =>
        ask(`inspecting container ${id.slice(0, 12)}`, INSPECT_MS, signal, (inner) => inspect(transport, id, inner)),
      ),
    events: (signal) => ask('following the events', CONNECT_MS, signal, () => connectEvents(transport, signal)),
    isRootless: (signal) =>
      withDeadline({ timeoutMs: CONNECT_MS, what: 'asking for the engine' }, signal, (inner) =>
        isRootless(transport, inner),
      ).catch(() => undefined),
  }
}

async function list(transport: Transport, signal: AbortSignal) {
  const response = await transport.get('/containers/json', { all: 1 }, signal)
  const entries = await readJson(response, MAX_LIST_BYTES)
  if (!Array.isArray(entries)) throw new HostlerError('DOCKER_ANSWER', 'it answered with something that is no list')
  return { entries: entries as unknown[], podman: /libpod/i.test(String(response.headers['server'])) }
}

async function inspect(transport: Transport, id: string, signal: AbortSignal): Promise<unknown> {
  const response = await transport.get(`/containers/${encodeURIComponent(id)}/json`, {}, signal)
  if (response.statusCode === 404) {
    response.resume()
    return undefined
  }
  return readJson(response, MAX_INSPECT_BYTES)
}

/** The signal of the whole session goes along: it must end the stream, not only the connecting. */
async function connectEvents(transport: Transport, signal: AbortSignal): Promise<IncomingMessage> {
  const filters = { type: ['container', 'network'], event: [...FOLLOWED_EVENTS] }
  const response = await transport.get('/events', { filters }, signal)
  if (response.statusCode !== 200) await readJson(response, 0)
  // Notices a host that went away without a word; a quiet stream is otherwise as good as a dead one.
  response.socket.setKeepAlive(true, 15_000)
  return response
}

async function isRootless(transport: Transport, signal: AbortSignal): Promise<boolean> {
  const response = await transport.get('/info', {}, signal)
  const answer = (await readJson(response, MAX_INSPECT_BYTES)) as { SecurityOptions?: unknown } | null
  return Array.isArray(answer?.SecurityOptions) && answer.SecurityOptions.includes('name=rootless')
}
