import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'
import { codeOf } from '../lib/errors.js'

/**
 * Every error that a client can get, as a problem (RFC 9457). The one place that knows HTTP status codes of errors: what
 * went wrong inside is logged, and never sent.
 */
export interface Problem {
  readonly status: number
  readonly title: string
  readonly detail?: string
}

const PROBLEM_TYPE = 'application/problem+json'

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timeout',
  413: 'Content too large',
  431: 'Header fields too large',
  500: 'Internal error',
}

export const problem = (status: number, detail?: string): Problem => ({
  status,
  title: TITLES[status] ?? 'Error',
  ...(detail === undefined ? {} : { detail }),
})

/** What an error that was thrown on the way to an answer means to the client. */
export function problemOf(error: unknown): Problem {
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status < 400 || status > 499 || !(error instanceof Error)) return problem(500, 'The log says what went wrong.')
  return problem(status, error.message)
}

export const sendProblem = (reply: FastifyReply, sent: Problem): FastifyReply =>
  reply.code(sent.status).type(PROBLEM_TYPE).send(JSON.stringify(sent))

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
