import type { IncomingMessage } from 'node:http'
import { createArrayReader } from '../../lib/docker/array-stream.js'
import type { Endpoint } from '../../lib/docker/endpoint.js'
import { createTransport, readJson, refuse, type Transport } from '../../lib/docker/transport.js'
import { HostlerError } from '../../lib/errors.js'
import { createLimit } from '../../lib/limit.js'
import { withDeadline } from '../../lib/signals.js'

/** The four questions that the source asks an engine. Every answer is bounded in time and size. */
export interface EngineClient {
  /** Every container, running or not, each given to `take`. `podman`: its list leaves out what Docker's has. */
  list(take: (entry: unknown, podman: boolean) => void, signal: AbortSignal): Promise<void>
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
const KIND_MS = 3000
const MAX_CONTAINER_BYTES = 8 << 20

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
    list: (take, signal) => ask('listing the containers', LIST_MS, signal, (inner) => list(transport, take, inner)),
    inspect: (id, signal) =>
      limited(() =>
        ask(`inspecting container ${id.slice(0, 12)}`, INSPECT_MS, signal, (inner) => inspect(transport, id, inner)),
      ),
    events: (signal) => ask('following the events', CONNECT_MS, signal, () => connectEvents(transport, signal)),
    isRootless: (signal) =>
      withDeadline({ timeoutMs: KIND_MS, what: 'asking for the kind of engine' }, signal, (inner) =>
        isRootless(transport, inner),
      ).catch(() => undefined),
  }
}

async function list(transport: Transport, take: (entry: unknown, podman: boolean) => void, signal: AbortSignal) {
  const response = await transport.get('/containers/json', { all: 1 }, signal)
  if (response.statusCode !== 200) await refuse(response)
  const podman = /libpod/i.test(String(response.headers['server']))
  const reader = createArrayReader((entry) => take(entry, podman), MAX_CONTAINER_BYTES)
  for await (const chunk of response as AsyncIterable<Buffer>) reader.write(chunk)
  reader.end()
}

async function inspect(transport: Transport, id: string, signal: AbortSignal): Promise<unknown> {
  const response = await transport.get(`/containers/${encodeURIComponent(id)}/json`, {}, signal)
  if (response.statusCode === 404) {
    response.resume()
    return undefined
  }
  return readJson(response, MAX_CONTAINER_BYTES)
}

/** The signal of the whole session goes along: it must end the stream, not only the connecting. */
async function connectEvents(transport: Transport, signal: AbortSignal): Promise<IncomingMessage> {
  const filters = { type: ['container', 'network'], event: [...FOLLOWED_EVENTS] }
  const response = await transport.get('/events', { filters }, signal)
  if (response.statusCode !== 200) await refuse(response)
  // Notices a host that went away without a word; a quiet stream is otherwise as good as a dead one.
  response.socket.setKeepAlive(true, 15_000)
  return response
}

async function isRootless(transport: Transport, signal: AbortSignal): Promise<boolean> {
  const response = await transport.get('/info', {}, signal)
  const answer = (await readJson(response, MAX_CONTAINER_BYTES)) as { SecurityOptions?: unknown } | null
  return Array.isArray(answer?.SecurityOptions) && answer.SecurityOptions.includes('name=rootless')
}
