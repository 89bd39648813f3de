import { printable } from '../../lib/printable.js'
import { createMatcher, type Match } from '../../model/match.js'
import { problem } from '../problems.js'
import { createAnswers, drain } from './answers.js'
import { createAwakener } from './awakener.js'
import { createDelivery, type Delivery } from './delivery.js'
import type { Outcome } from './events.js'
import { createFallback } from './fallback.js'
import { createForwarder } from './forward.js'
import type { PublicParts } from './parts.js'
import { createPatience, WaitsClosed } from './patience.js'
import { createPlaces } from './places.js'
import { full, noRoute, type Refusal, refused, stopping, tooEarly } from './refusals.js'
import type { Visit } from './visit.js'
import { createWakeEvents, eventsPathOf } from './wake-events.js'

/** Answers requests: by the app, once that is awake, or by a page or problem of our own. */
export interface Serving {
  /** Never throws. */
  serve(visit: Visit): Promise<void>
  readonly sessions: Delivery['sessions']
  held(): number
  /** Lets nobody wait any longer. */
  close(): void
}

export function createServing(parts: PublicParts): Serving {
  const { world, waker, settings, clock, log, events } = parts
  const { maxHeld: max, maxHeldPerGroup: maxPerGroup } = settings
  const places = createPlaces({ max, maxPerGroup, changed: events.held })
  const patience = createPatience(parts)
  const wakeEvents = createWakeEvents({ waker, clock, places: createPlaces({ max, maxPerGroup }) })
  const matcher = createMatcher()
  const find = ({ ask }: Visit): Match | undefined => {
    const plan = world.plan()
    return plan && matcher(plan, ask)
  }
  const awakener = createAwakener({ ...parts, places, patience, find })
  const forwarder = createForwarder()
  const delivery = createDelivery({ ...parts, awakener, forwarder })
  const refuse = createRefuser(parts)

  async function answer(visit: Visit): Promise<Outcome | Refusal> {
    if (forwarder.isLoop(visit)) return refused(problem(508, 'This request has been here before.'))
    if (!world.plan() && !(await awakener.planned(visit))) return tooEarly
    const match = find(visit)
    if (!match) return noRoute
    const { group } = match.backend
    visit.record.group = group
    visit.record.isNamed = match.route.host === '*'
    if (visit.ask.path !== eventsPathOf(match.route)) return delivery.deliver(visit, match)
    return (await wakeEvents.follow(visit, group)) ? 'wake-events' : full
  }

  function failed(visit: Visit, error: unknown): Outcome | Refusal {
    if (error instanceof WaitsClosed) return stopping
    if (visit.signal.aborted) return 'gone'
    log.error({ err: error, group: visit.record.group }, 'a request to the public port could not be handled')
    return { ...refused(problem(500, 'The log says what went wrong.')), outcome: 'broken' }
  }

  return {
    sessions: delivery.sessions,
    held: () => places.taken(),
    close() {
      patience.close()
      wakeEvents.close()
    },
    async serve(visit) {
      const result = await answer(visit).catch((error: unknown) => failed(visit, error))
      const outcome = typeof result === 'string' ? result : refuse(visit, result)
      drain(visit)
      events.ended?.(outcome, visit.response.statusCode)
      if (log.isLevelEnabled('debug')) log.debug(storyOf(visit, outcome, clock.elapsed()), 'public request ended')
    },
  }
}

/** Sends our own answers, or people elsewhere. */
function createRefuser(parts: PublicParts): (visit: Visit, refusal: Refusal) => Outcome {
  const answers = createAnswers(parts)
  const fallback = createFallback(parts.fallbackUrl ?? '')
  return (visit, refusal) => {
    const elsewhere = fallback(visit, refusal.outcome)
    if (elsewhere === undefined) answers.send(visit, refusal)
    else answers.redirect(visit, elsewhere)
    return refusal.outcome
  }
}

/** For the log: no query, no header but the host. */
function storyOf({ ask, response, record, startedAt }: Visit, outcome: Outcome, now: number): object {
  return {
    method: ask.method,
    host: printable(ask.host, 255),
    path: printable(ask.path, 255),
    group: record.group,
    outcome,
    status: response.statusCode,
    heldMs: record.heldMs,
    ms: Math.round(now - startedAt),
  }
}
