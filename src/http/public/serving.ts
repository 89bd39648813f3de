import { codeOf } from '../../lib/errors.js'
import { printable } from '../../lib/printable.js'
import { createMatcher, type Match } from '../../model/match.js'
import type { Server } from '../../model/plan.js'
import { problem } from '../problems.js'
import { createAnswers, drain } from './answers.js'
import { createAwakener } from './awakener.js'
import { createBalancer } from './balance.js'
import type { Outcome } from './events.js'
import { createFallback } from './fallback.js'
import { createForwarder } from './forward.js'
import type { PublicParts } from './parts.js'
import { createPatience, WaitsClosed } from './patience.js'
import { createPlaces } from './places.js'
import { createQuiet } from './quiet.js'
import { full, noAnswer, noRoute, notReady, type Refusal, refused, stopping, tooEarly } from './refusals.js'
import { createSessions, type Sessions } from './sessions.js'
import { createTurnstile } from './turnstile.js'
import type { Visit } from './visit.js'
import { createWakeEvents, eventsPathOf } from './wake-events.js'

/** Answers requests: by the app, once that is awake, or by a page or problem of our own. */
export interface Serving {
  /** Never throws. */
  serve(visit: Visit): Promise<void>
  readonly sessions: Pick<Sessions, 'ofGroup' | 'on'>
  held(): number
  /** Lets nobody wait any longer. */
  close(): void
}

/** How long a request is tried again whose app, thought ready, takes no connection. */
const AGAIN_MS = 1_500
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 400

export function createServing(parts: PublicParts): Serving {
  const { world, waker, settings, clock, log, events } = parts
  const { maxHeld: max, maxHeldPerGroup: maxPerGroup } = settings
  const places = createPlaces({ max, maxPerGroup, changed: events.held })
  const sessions = createSessions(events.session)
  const answers = createAnswers(parts)
  const patience = createPatience(parts)
  const wakeEvents = createWakeEvents({ waker, clock, places: createPlaces({ max, maxPerGroup }) })
  const matcher = createMatcher()
  const find = ({ ask }: Visit): Match | undefined => {
    const plan = world.plan()
    return plan && matcher(plan, ask)
  }
  const awakener = createAwakener({ ...parts, places, patience, find })
  const forwarder = createForwarder()
  const balance = createBalancer()
  const turnstile = createTurnstile(clock)
  const complain = createComplaints(parts)
  const fallback = createFallback(parts.fallbackUrl ?? '')

  const refuse = (visit: Visit, refusal: Refusal): Outcome => {
    const elsewhere = fallback(visit, refusal.outcome)
    if (elsewhere === undefined) answers.send(visit, refusal)
    else answers.redirect(visit, elsewhere)
    return refusal.outcome
  }

  async function answer(visit: Visit): Promise<Outcome> {
    if (forwarder.isLoop(visit)) return refuse(visit, refused(problem(508, 'This request has been here before.')))
    if (!world.plan() && !(await awakener.planned(visit))) return refuse(visit, tooEarly)
    const match = find(visit)
    if (!match) return refuse(visit, noRoute)
    const { group } = match.backend
    visit.record.group = group
    visit.record.isNamed = match.route.host === '*'
    if (visit.ask.path !== eventsPathOf(match.route)) return serveApp(visit, match)
    return (await wakeEvents.follow(visit, group)) ? 'wake-events' : refuse(visit, full)
  }

  async function serveApp(visit: Visit, first: Match): Promise<Outcome> {
    let found = isServed(first) ? first : await awakener.awaken(visit, first)
    let giveUpAt: number | undefined
    let avoid: Server | undefined
    for (let pauseMs = FIRST_PAUSE_MS; 'backend' in found; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const server = balance(found.backend, avoid)
      if (!server) return refuse(visit, notReady(found.backend.stack))
      try {
        return await send(visit, found, server)
      } catch (error) {
        if (visit.signal.aborted) throw error
        if (codeOf(error) === 'UPSTREAM_BUSY') return refuse(visit, full)
        complain(found, server, error)
        giveUpAt ??= clock.elapsed() + AGAIN_MS
        const isLast = clock.elapsed() >= giveUpAt
        if (isLast || !canBeRepeated(visit, error)) return refuse(visit, noAnswer(found.backend.stack))
      }
      avoid = server
      await clock.sleep(pauseMs, visit.signal)
      found = await awakener.awaken(visit, found)
    }
    return refuse(visit, found)
  }

  async function send(visit: Visit, match: Match, server: Server): Promise<Outcome> {
    const { group } = match.backend
    const end = sessions.begin(match.backend, server)
    try {
      const leave = await turnstile.enter(server, visit.signal)
      try {
        const relayed = await forwarder.forward(visit, match, server, () => {
          const { readyAt } = visit.record
          if (readyAt !== undefined) events.firstByte?.(group, clock.elapsed() - readyAt)
        })
        drain(visit)
        return relayed === 'answered' ? 'app' : 'cut'
      } finally {
        leave()
      }
    } finally {
      end()
    }
  }

  return {
    sessions,
    held: () => places.taken(),
    close() {
      patience.close()
      wakeEvents.close()
    },
    async serve(visit) {
      let outcome: Outcome
      try {
        outcome = await answer(visit)
      } catch (error) {
        outcome = failed(visit, error)
      }
      const { ask, response, startedAt } = visit
      events.ended?.(outcome, response.statusCode)
      if (!log.isLevelEnabled('debug')) return
      const ms = Math.round(clock.elapsed() - startedAt)
      const { group, heldMs } = visit.record
      const [host, path] = [printable(ask.host, 255), printable(ask.path, 255)]
      const about = { method: ask.method, host, path, group, outcome, status: response.statusCode }
      log.debug({ ...about, heldMs, ms }, 'public request ended')
    },
  }

  function failed(visit: Visit, error: unknown): Outcome {
    if (error instanceof WaitsClosed) return refuse(visit, stopping)
    if (visit.signal.aborted) return 'gone'
    log.error({ err: error, group: visit.record.group }, 'a request to the public port could not be handled')
    refuse(visit, refused(problem(500, 'The log says what went wrong.')))
    return 'broken'
  }
}

/** A plan that calls a backend held may show servers that are about to be stopped. */
const isServed = ({ backend: { held, servers } }: Match): boolean => !held && servers.length > 0

/** Nothing has been sent, or what has been sent may be sent twice (RFC 9110, section 9.2.2). */
const canBeRepeated = ({ ask }: Visit, error: unknown): boolean =>
  codeOf(error) === 'UPSTREAM_REFUSED' || (!ask.hasBody && ['GET', 'HEAD', 'OPTIONS'].includes(ask.method))

function createComplaints({ log, clock }: Pick<PublicParts, 'log' | 'clock'>) {
  const isNews = createQuiet(clock)
  return ({ backend }: Match, { instance, address, port }: Server, err: unknown) => {
    if (!isNews(backend.name)) return
    log.warn({ backend: backend.name, instance, address, port, err }, 'an app that is thought ready does not answer')
  }
}
