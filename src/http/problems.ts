import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'
import { codeOf, HostlerError, messageOf } from '../lib/errors.js'

/**
 * Every error that a client can get, as a problem (RFC 9457). The one place that knows HTTP status codes of errors: what
 * went wrong inside is logged, and never sent.
 */
export interface Problem {
  readonly status: number
  readonly title: string
  readonly detail?: string
}

export const PROBLEM_TYPE = 'application/problem+json'

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timeout',
  409: 'Conflict',
  413: 'Content too large',
  422: 'Unprocessable content',
  429: 'Too many requests',
  431: 'Header fields too large',
  500: 'Internal error',
  501: 'Not implemented',
  502: 'Bad gateway',
  503: 'Service unavailable',
  504: 'Gateway timeout',
  505: 'HTTP version not supported',
  508: 'Loop detected',
}

/** Errors of ours whose message is meant for the client, by their code. */
const STATUSES: Readonly<Record<string, number>> = {
  'no-such-workload': 404,
  'no-such-image': 422,
  'no-such-network': 422,
  'name-in-use': 409,
  refused: 422,
  unreachable: 503,
  DEPLOY_CONFLICT: 409,
  DEPLOY_REFUSED: 422,
  NO_RUNTIME: 409,
  NO_SUCH_GROUP: 404,
  AMBIGUOUS: 409,
  NOT_WAKEABLE: 409,
  WAKE_FAILED: 502,
  WAKE_TIMEOUT: 504,
}

export const problem = (status: number, detail?: string): Problem => ({
  status,
  title: TITLES[status] ?? 'Error',
  ...(detail === undefined ? {} : { detail }),
})

/** What an error that was thrown on the way to an answer means to the client. */
export function problemOf(error: unknown): Problem {
  const known = error instanceof HostlerError ? STATUSES[error.code] : undefined
  if (known !== undefined) return problem(known, messageOf(error))
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status < 400 || status > 499 || !(error instanceof Error)) return problem(500, 'The log says what went wrong.')
  return problem(status, error.message)
}

export const sendProblem = (reply: FastifyReply, sent: Problem): FastifyReply =>
  reply.code(sent.status).type(PROBLEM_TYPE).send(JSON.stringify(sent))

/** The same without fastify, and the end of the connection. */
export function respondProblem(response: ServerResponse, sent: Problem): void {
  const body = JSON.stringify(sent)
  const headers = { 'content-type': PROBLEM_TYPE, 'content-length': Buffer.byteLength(body), connection: 'close' }
  response.writeHead(sent.status, headers).end(body)
}

const CLIENT_ERRORS: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
}

/** Answers what was not HTTP, or came too slowly, and hangs up. */
export function refuseClient(error: unknown, socket: Socket): void {
  const code = codeOf(error)
  if (code === 'ECONNRESET' || socket.destroyed) return
  const sent = problem(CLIENT_ERRORS[code ?? ''] ?? 400)
  const body = JSON.stringify(sent)
  const head = [
    `HTTP/1.1 ${sent.status} ${sent.title}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${body.length}`,
    'connection: close',
  ]
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  socket.destroySoon()
}
