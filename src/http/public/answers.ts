import type { Logger } from '../../lib/logger.js'
import { printable } from '../../lib/printable.js'
import { PROBLEM_TYPE, type Problem } from '../problems.js'
import { prefersHtml } from './audience.js'
import type { PageContext, PageName, PublicPages } from './pages.js'
import type { Visit } from './visit.js'

/** An answer of our own: a page for people, a problem (RFC 9457) for programs. Nobody may keep it. */
export interface OwnAnswer {
  readonly problem: Problem
  readonly page: PageName
  readonly context?: Partial<PageContext>
  /** Seconds after which it makes sense to ask again. */
  readonly retryAfter?: number
  /** A page for people that loads itself anew after that time. */
  readonly refreshes?: boolean
}

export interface Answers {
  send(visit: Visit, answer: OwnAnswer): void
  redirect(visit: Visit, url: string): void
}

export interface AnswersOptions {
  readonly pages: PublicPages
  readonly log: Logger
  /** The domain under which stacks get their names. */
  readonly domain: string
}

export function createAnswers({ pages, log, domain }: AnswersOptions): Answers {
  const bodyOf = (visit: Visit, answer: OwnAnswer): Made => {
    if (!answer.refreshes && !prefersHtml(visit.request.headers.accept)) return asProblem(answer)
    const { html, policy } = pages.render(answer.page, contextOf(visit, answer, domain))
    const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy }
    return { body: html, headers: answer.refreshes ? { ...headers, refresh: `${answer.retryAfter ?? 5}` } : headers }
  }
  return {
    redirect(visit, location) {
      const { response } = visit
      if (response.headersSent || response.destroyed) return
      response.writeHead(302, { location, 'cache-control': 'no-store', 'content-length': 0 }).end()
    },
    send(visit, answer) {
      const { response } = visit
      if (response.headersSent || response.destroyed) return
      let made = asProblem(answer)
      try {
        made = bodyOf(visit, answer)
      } catch (err) {
        log.error({ err, page: answer.page }, 'a page could not be made; a problem was sent in its place')
      }
      response.writeHead(answer.problem.status, {
        ...made.headers,
        ...(answer.retryAfter === undefined ? {} : { 'retry-after': `${answer.retryAfter}` }),
        'content-length': Buffer.byteLength(made.body),
        'cache-control': 'no-store',
        'referrer-policy': 'same-origin',
        'x-content-type-options': 'nosniff',
      })
      response.end(made.body)
    },
  }
}

interface Made {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const asProblem = ({ problem }: OwnAnswer): Made => ({
  headers: { 'content-type': PROBLEM_TYPE },
  body: `${JSON.stringify(problem)}\n`,
})

const contextOf = ({ ask }: Visit, { problem, retryAfter, context }: OwnAnswer, domain: string): PageContext => ({
  host: printable(ask.host, 255),
  domain,
  stack: null,
  status: problem.status,
  headline: problem.title,
  detail: problem.detail ?? '',
  retrySeconds: retryAfter ?? null,
  waitedMs: 0,
  waitedSeconds: 0,
  usualMs: null,
  usualSeconds: null,
  steps: [],
  eventsPath: null,
  ...context,
})

/** How long what is left of a body is read and dropped, so that its sender gets to read the answer. */
const LINGER_MS = 5_000

/** Ending a connection on a client that still sends would take the answer away from it. */
export function drain({ request, ask, upgrade }: Visit): void {
  if (!ask.hasBody || request.readableEnded || upgrade) return
  const timer = setTimeout(() => request.destroy(), LINGER_MS).unref()
  request.once('close', () => clearTimeout(timer))
  request.resume()
}
