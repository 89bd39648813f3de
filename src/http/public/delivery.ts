import { codeOf } from '../../lib/errors.js'
import type { Match } from '../../model/match.js'
import type { Server } from '../../model/plan.js'
import type { Awakener } from './awakener.js'
import { createBalancer } from './balance.js'
import type { Outcome } from './events.js'
import type { Forwarder } from './forward.js'
import type { PublicParts } from './parts.js'
import { createQuiet } from './quiet.js'
import { full, noAnswer, notReady, type Refusal } from './refusals.js'
import { createSessions, type Sessions } from './sessions.js'
import { createTurnstile } from './turnstile.js'
import type { Visit } from './visit.js'

/** Brings requests to their apps, which are woken first where that is wanted. */
export interface Delivery {
  /** @returns what became of it, or what it gets instead. @throws the signal's reason; what ended all waiting */
  deliver(visit: Visit, match: Match): Promise<Outcome | Refusal>
  readonly sessions: Pick<Sessions, 'ofGroup' | 'on'>
}

interface Parts extends Pick<PublicParts, 'events' | 'clock' | 'log'> {
  readonly awakener: Awakener
  readonly forwarder: Forwarder
}

/** How long a request is tried again whose app, thought ready, takes no connection. */
const AGAIN_MS = 1_500
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 400

export function createDelivery({ awakener, forwarder, events, clock, log }: Parts): Delivery {
  const sessions = createSessions(events.session)
  const balance = createBalancer()
  const turnstile = createTurnstile(clock)
  const isNews = createQuiet(clock)

  const complain = ({ backend }: Match, { instance, address, port }: Server, err: unknown) => {
    if (!isNews(backend.name)) return
    log.warn({ backend: backend.name, instance, address, port, err }, 'an app that is thought ready does not answer')
  }

  async function send(visit: Visit, match: Match, server: Server): Promise<Outcome> {
    const leave = await turnstile.enter(server, visit.signal)
    try {
      const relayed = await forwarder.forward(visit, match, server, () => {
        const { readyAt } = visit.record
        if (readyAt !== undefined) events.firstByte?.(match.backend.group, clock.elapsed() - readyAt)
      })
      return relayed === 'answered' ? 'app' : 'cut'
    } finally {
      leave()
    }
  }

  return {
    sessions,
    async deliver(visit, first) {
      let found = isServed(first) ? first : await awakener.awaken(visit, first)
      let giveUpAt: number | undefined
      let avoid: Server | undefined
      for (let pauseMs = FIRST_PAUSE_MS; 'backend' in found; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
        const { backend }: Match = found
        const server = balance(backend, avoid)
        if (!server) return notReady(backend.stack)
        const end = sessions.begin(backend, server)
        try {
          return await send(visit, found, server)
        } catch (error) {
          if (visit.signal.aborted) throw error
          if (codeOf(error) === 'UPSTREAM_BUSY') return full
          complain(found, server, error)
          giveUpAt ??= clock.elapsed() + AGAIN_MS
          if (clock.elapsed() >= giveUpAt || !canBeRepeated(visit, error)) return noAnswer(backend.stack)
        } finally {
          end()
        }
        avoid = server
        await clock.sleep(pauseMs, visit.signal)
        found = await awakener.awaken(visit, found)
      }
      return found
    },
  }
}

/** A plan that calls a backend held may show servers that are about to be stopped. */
const isServed = ({ backend: { held, servers } }: Match): boolean => !held && servers.length > 0

/** Nothing has been sent, or what has been sent may be sent twice (RFC 9110, section 9.2.2). */
const canBeRepeated = ({ ask }: Visit, error: unknown): boolean =>
  codeOf(error) === 'UPSTREAM_REFUSED' || (!ask.hasBody && ['GET', 'HEAD', 'OPTIONS'].includes(ask.method))
