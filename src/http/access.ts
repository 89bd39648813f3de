import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../lib/clock.js'
import type { Tokens } from '../lifecycle/deploy/tokens.js'
import type { Users } from '../lifecycle/deploy/users.js'
import { problem, sendProblem } from './problems.js'
import { createThrottle } from './throttle.js'

/** Who may change something. */
export interface Access {
  /** A fastify hook: answers 401 unless the request carries a good token. */
  guard(request: FastifyRequest, reply: FastifyReply): Promise<unknown>
  /** @returns a token, or why there is none */
  login(user: string, password: string, address: string): Promise<LoginResult>
}

export type LoginResult =
  | { readonly token: string }
  | { readonly refused: 'wrong' }
  | { readonly refused: 'later'; readonly waitMs: number }

export interface AccessInputs {
  readonly enabled: boolean
  readonly users: Users
  readonly tokens: Tokens
  readonly clock: Clock
}

/** Each password check takes 32 MB and a core for a while. */
const MAX_CHECKS = 4

export function createAccess({ enabled, users, tokens, clock }: AccessInputs): Access {
  const throttle = createThrottle(clock)
  let checks = 0

  async function login(user: string, password: string, address: string): Promise<LoginResult> {
    const key = `${address} ${user}`
    const waitMs = throttle.waitMs(key)
    if (waitMs > 0) return { refused: 'later', waitMs }
    if (checks >= MAX_CHECKS) return { refused: 'later', waitMs: 1000 }
    checks++
    try {
      if (await users.verify(user, password)) {
        throttle.succeeded(key)
        return { token: await tokens.issue() }
      }
      throttle.failed(key)
      return { refused: 'wrong' }
    } finally {
      checks--
    }
  }

  return {
    login,
    async guard(request, reply) {
      if (!enabled) return
      const token = tokenOf(request)
      const verdict = token === undefined ? 'missing' : tokens.verify(token)
      if (verdict === 'good') return
      return sendProblem(reply.header('www-authenticate', 'Bearer realm="hostler"'), problem(401, REASONS[verdict]))
    },
  }
}

const REASONS = {
  missing: 'A token is needed: the header "token" or "Authorization: Bearer". POST /login gives one.',
  unknown: 'The token is not one of ours.',
  expired: 'The token has expired. POST /login gives a new one.',
} as const

/** Predecessor 2's header, or the usual one. */
function tokenOf({ headers }: FastifyRequest): string | undefined {
  const own = headers['token']
  if (typeof own === 'string' && own !== '') return own
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
}
