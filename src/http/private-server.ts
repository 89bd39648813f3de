import Fastify, { type FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Listen } from '../config/values.js'
import type { StatePreview } from '../reconcile/preview.js'
import type { State } from '../reconcile/state.js'
import { createHostCheck } from './host-check.js'
import { listenError } from './listen.js'
import type { Metrics } from './metrics.js'
import { problem, problemOf, refuseClient, sendProblem } from './problems.js'
import { addStateRoutes } from './state-routes.js'

export interface PrivateServer {
  /** Listens. @throws HostlerError `LISTEN` that names the address and the remedy. */
  start(): Promise<Listen>
  /** Stops listening and ends every connection. */
  stop(): Promise<void>
  /** For tests: `app.inject(…)` without a socket. */
  readonly app: FastifyInstance
}

export interface PrivateServerOptions {
  readonly listen: Listen
  readonly state: () => State
  readonly preview: (signal: AbortSignal) => Promise<StatePreview>
  readonly metrics: Metrics
  readonly log: Logger
  /** More names by which clients may call (setting `private.hosts`). */
  readonly hosts?: readonly string[]
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  readonly limits?: Partial<ClientLimits>
  /** More that is served, calls that change something among it. */
  readonly routes?: readonly ((app: FastifyInstance) => void)[]
}

/** How long a client may dawdle, and how many there may be. */
export interface ClientLimits {
  readonly headersMs: number
  readonly requestMs: number
  /** A connection on which nothing moves, the client reading slowly included. */
  readonly idleMs: number
  readonly connections: number
}

const LIMITS: ClientLimits = { headersMs: 5_000, requestMs: 10_000, idleMs: 30_000, connections: 256 }

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** The private port: health, readiness, metrics, state, a page for people, and whatever `routes` adds. */
export function createPrivateServer(options: PrivateServerOptions): PrivateServer {
  const app = createApp(options)
  addErrors(app, options.log)
  addHostCheck(app, [options.listen.host, ...(options.hosts ?? [])])
  addRequestLog(app, options.log)
  addStateRoutes(app, { ...options, now: options.now ?? Date.now })
  for (const add of options.routes ?? []) add(app)
  return {
    app,
    start: () => listen(app, options.listen),
    stop: () => app.close(),
  }
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'] as const

function createApp({ limits }: PrivateServerOptions): FastifyInstance {
  const { headersMs, requestMs, idleMs, connections } = { ...LIMITS, ...limits }
  const app = Fastify({
    logger: false,
    bodyLimit: 1024,
    forceCloseConnections: true,
    connectionTimeout: idleMs,
    requestTimeout: requestMs,
    keepAliveTimeout: headersMs,
    http: {
      headersTimeout: headersMs,
      maxHeaderSize: 8192,
      // Node looks for late requests this often; its default of 30 s would stretch the two limits above.
      connectionsCheckingInterval: Math.max(50, Math.floor(headersMs / 2)),
    },
    clientErrorHandler: refuseClient,
    routerOptions: { ignoreTrailingSlash: true },
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, problemOf(error)),
  })
  app.server.maxConnections = connections
  // Whatever it calls itself: `curl -d` says that it sends a form. Nothing else than JSON is understood here.
  app.removeAllContentTypeParsers()
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) =>
    body === '' ? done(null, undefined) : parse(request, body as string, done),
  )
  return app
}

function addErrors(app: FastifyInstance, log: Logger): void {
  app.addHook('onRequest', async (_request, reply) => void reply.headers(SECURITY_HEADERS))
  app.setErrorHandler((error, request, reply) => {
    const sent = problemOf(error)
    if (sent.status >= 500) log.error({ err: error, method: request.method, url: request.url }, 'request failed')
    return sendProblem(reply, sent)
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = METHODS.filter(
      (method) => app.findRoute({ method, url: path }) !== null || app.hasRoute({ method, url: path }),
    )
    if (allowed.length > 0) {
      return sendProblem(reply.header('allow', allowed.join(', ')), problem(405, `It takes ${allowed.join(', ')}.`))
    }
    return sendProblem(reply, problem(404, 'Nothing is here. / shows the state, /api/openapi.json what else there is.'))
  })
}

function addHostCheck(app: FastifyInstance, hosts: readonly string[]): void {
  const isAllowed = createHostCheck(hosts)
  app.addHook('onRequest', async (request, reply) => {
    if (isAllowed(request.headers.host)) return
    const remedy = 'Call this port by its address, or add the name to private.hosts (HOSTLER_PRIVATE_HOSTS).'
    return sendProblem(reply, problem(403, remedy))
  })
}

/** Debug only: probes and scrapers call every few seconds, and tell an operator nothing. */
function addRequestLog(app: FastifyInstance, log: Logger): void {
  if (!log.isLevelEnabled('debug')) return
  app.addHook('onResponse', async (request, reply) => {
    const { method, url } = request
    log.debug({ method, url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, 'request answered')
  })
}

async function listen(app: FastifyInstance, { host, port }: Listen): Promise<Listen> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    await app.close()
    throw listenError(error, { host, port }, 'private.listen (HOSTLER_PRIVATE_LISTEN)')
  }
  const address = app.server.address()
  return typeof address === 'object' && address !== null
    ? { host: address.address, port: address.port }
    : { host, port }
}
