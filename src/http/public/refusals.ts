import { HostlerError, messageOf } from '../../lib/errors.js'
import type { GroupState } from '../../lifecycle/world.js'
import { type Problem, problem } from '../problems.js'
import type { OwnAnswer } from './answers.js'
import type { Outcome } from './events.js'

/** Every answer that is not the app's: what it says, to whom it says when to come back. */
export interface Refusal extends OwnAnswer {
  readonly outcome: Outcome
}

/** A start takes seconds: nobody needs to come back sooner. */
export const RETRY_SECONDS = 3

const BUSY_SECONDS = 5

export const refused = (found: Problem): Refusal => ({ outcome: 'refused', problem: found, page: 'unavailable' })

export const noRoute: Refusal = {
  outcome: 'no-route',
  problem: problem(404, 'No stack answers at this address.'),
  page: 'not-found',
  context: { headline: 'No stack answers here' },
}

export const notReady = (stack: string): Refusal => ({
  outcome: 'not-ready',
  problem: problem(503, 'None of its containers takes requests at the moment.'),
  page: 'unavailable',
  context: { stack, headline: `${stack} is not ready` },
  retryAfter: BUSY_SECONDS,
})

export const notWoken = (stack: string): Refusal => ({
  outcome: 'ignored',
  problem: problem(503, 'It is asleep, and requests like this one do not wake it.'),
  page: 'unavailable',
  context: { stack, headline: `${stack} is asleep` },
  retryAfter: 60,
})

export const full: Refusal = {
  outcome: 'full',
  problem: problem(503, 'Too many requests are waiting already.'),
  page: 'unavailable',
  context: { headline: 'Too many are waiting' },
  retryAfter: BUSY_SECONDS,
}

export const tooEarly: Refusal = {
  outcome: 'not-ready',
  problem: problem(503, 'What runs here is not known yet.'),
  page: 'unavailable',
  context: { headline: 'One moment' },
  retryAfter: RETRY_SECONDS,
}

export const late = (stack: string): Refusal => ({
  outcome: 'late',
  problem: problem(503, 'It is still starting.'),
  page: 'unavailable',
  context: { stack, headline: `${stack} takes its time` },
  retryAfter: BUSY_SECONDS,
})

export const stopping: Refusal = {
  outcome: 'stopping',
  problem: problem(503, 'The proxy is being restarted.'),
  page: 'unavailable',
  context: { headline: 'One moment' },
  retryAfter: RETRY_SECONDS,
}

export const noAnswer = (stack: string): Refusal => ({
  outcome: 'no-answer',
  problem: problem(502, 'The app does not answer, or broke off before it did.'),
  page: 'unavailable',
  context: { stack, headline: `${stack} does not answer` },
  retryAfter: BUSY_SECONDS,
})

/** The start failed: why, and when the next one may be tried. */
export function wakeFailed(error: unknown, stack: string, state: GroupState | undefined, now: number): Refusal {
  const isKnown = error instanceof HostlerError && ['WAKE_FAILED', 'WAKE_TIMEOUT'].includes(error.code)
  const { failure } = state ?? {}
  const seconds = failure === undefined ? BUSY_SECONDS : Math.max(1, Math.ceil((failure.retryAt - now) / 1000))
  const detail = isKnown ? messageOf(error) : 'It could not be started; the log says why.'
  const culprit = failure === undefined || failure.service === stack ? '' : `${failure.service}: `
  return {
    outcome: 'wake-failed',
    problem: problem(502, detail),
    page: 'failed',
    context: {
      stack,
      headline: `${stack} could not be started`,
      detail: isKnown && failure ? `${culprit}${failure.reason}` : detail,
    },
    retryAfter: seconds,
  }
}
