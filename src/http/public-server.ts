import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Listen } from '../config/values.js'
import { listenError } from './listen.js'
import { problem, refuseClient, respondProblem } from './problems.js'
import { isProblem, readAsk } from './public/ask.js'
import type { PublicEvents } from './public/events.js'
import type { PublicParts } from './public/parts.js'
import { createServing } from './public/serving.js'
import type { Sessions } from './public/sessions.js'
import { onUpgrade, responseTo } from './public/upgrades.js'
import type { Upgrade } from './public/visit.js'

export interface PublicServer {
  /** Listens. @throws HostlerError `LISTEN` that names the address and the remedy. */
  start(): Promise<Listen>
  /** Stops listening, sends those who wait away, and gives what is under way a while to end. */
  stop(): Promise<void>
  /** Requests, streams and WebSockets that are under way to apps through this port. */
  readonly sessions: Pick<Sessions, 'ofGroup' | 'on'>
  /** Requests that wait for any group. */
  held(): number
}

export interface PublicServerOptions extends Omit<PublicParts, 'events'> {
  readonly listen: Listen
  readonly events?: PublicEvents
  readonly limits?: Partial<PublicLimits>
}

/** How long a client may take for its headers, and how large they may be. Bodies and answers take as long as they take. */
export interface PublicLimits {
  readonly headersMs: number
  readonly headerBytes: number
  /** Longer than the proxies keep a connection without use, so that none is closed on a request that is on its way. */
  readonly idleMs: number
  readonly connections: number
  /** What is under way when we stop. */
  readonly drainMs: number
}

const LIMITS: PublicLimits = {
  headersMs: 10_000,
  headerBytes: 65_536,
  idleMs: 120_000,
  connections: 16_384,
  drainMs: 5_000,
}

/** One for all: an abort without a reason makes an error with a stack each time. */
const GONE = new Error('the client is gone, or has its answer')

/**
 * The public port: where the proxies send requests for stacks that sleep or are still starting.
 *
 * It is built on node:http and not on fastify with @fastify/reply-from: through undici trailers are lost both ways, 1xx
 * answers are dropped, `Expect: 100-continue` is a 500, header names lose their case, and methods such as PROPFIND
 * have to be named one by one (tried with 12.x). Nothing else of a framework is needed here: there are no routes.
 */
export function createPublicServer({ events = {}, listen, limits, ...parts }: PublicServerOptions): PublicServer {
  // Who waits has a connection each, and so has who is refused.
  const most = Math.max(LIMITS.connections, 2 * parts.settings.maxHeld)
  const bounds = { ...LIMITS, connections: most, ...limits }
  const { clock, log } = parts
  const server = createHttpServer(bounds)
  const serving = createServing({ ...parts, events })
  const connections = followConnections(server)
  const visits = new Set<Promise<void>>()

  function visit(request: IncomingMessage, response: ServerResponse, upgrade?: Upgrade): void {
    const ask = readAsk(request)
    if (isProblem(ask)) {
      respondProblem(response, ask)
      return
    }
    connections.answering(request.socket, response)
    const gone = new AbortController()
    const leave = () => gone.abort(GONE)
    response.once('close', leave).once('finish', leave)
    response.on('error', () => response.destroy())
    const about = { request, response, ask, signal: gone.signal, startedAt: clock.elapsed(), record: {} }
    const visiting = serving.serve(upgrade ? { ...about, upgrade } : about)
    visits.add(visiting)
    void visiting.then(() => visits.delete(visiting))
  }

  server.on('request', visit)
  // Without this, node:http would ask for the body before the app is there to say whether it wants it.
  server.on('checkContinue', visit)
  server.on('connect', (request, socket) => respondProblem(responseTo(request, socket), problem(405)))
  onUpgrade(server, (request, upgrade) => visit(request, responseTo(request, upgrade.socket), upgrade))
  return {
    sessions: serving.sessions,
    held: serving.held,
    async start() {
      const listening = await open(server, listen)
      // Too many open files: a server that nobody listens to for errors would end the process.
      server.on('error', (err) => log.error({ err }, 'the public port could not take a connection'))
      return listening
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve))
      serving.close()
      const late = new AbortController()
      await Promise.race([Promise.all(visits), clock.sleep(bounds.drainMs, late.signal).catch(() => undefined)])
      late.abort()
      connections.destroy()
      await closed
    },
  }
}

function createHttpServer({ headersMs, headerBytes, idleMs, connections }: PublicLimits): Server {
  const server = createServer({
    headersTimeout: headersMs,
    requestTimeout: 0,
    keepAliveTimeout: idleMs,
    connectionsCheckingInterval: Math.max(50, Math.floor(headersMs / 4)),
    maxHeaderSize: headerBytes,
    // As much as one read gives: of a request that waits no more than that is ever in our memory, and one that has been
    // read to its end tells when its client hangs up.
    highWaterMark: 65_536,
    // A peer that is gone without a word is found out; there is no time-out on what is silent.
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    noDelay: true,
    requireHostHeader: false,
  })
  server.maxConnections = connections
  // Node keeps 2,000 by default and drops the rest without a word; their size is limited anyway.
  server.maxHeadersCount = 0
  return server
}

/** Knows the open connections and what is being answered on each. */
function followConnections(server: Server) {
  const answers = new Map<Socket, ServerResponse | undefined>()
  server.on('connection', (socket: Socket) => {
    if (!answers.has(socket)) socket.once('close', () => answers.delete(socket))
    answers.set(socket, undefined)
  })
  server.on('clientError', (error, socket) => {
    const answer = answers.get(socket as Socket)
    // In the middle of an answer another one would be read as part of it.
    if (answer?.headersSent && !answer.writableFinished) socket.destroy()
    else refuseClient(error, socket as Socket)
  })
  return {
    answering: (socket: Socket, response: ServerResponse) => void answers.set(socket, response),
    destroy() {
      for (const socket of answers.keys()) socket.destroy()
    },
  }
}

async function open(server: Server, listen: Listen): Promise<Listen> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(listen, () => resolve(void server.off('error', reject)))
    })
  } catch (error) {
    throw listenError(error, listen, 'public.listen (HOSTLER_PUBLIC_LISTEN)')
  }
  const { address, port } = server.address() as AddressInfo
  return { host: address, port }
}
