import { codeOf } from '../../lib/errors.js'
import type { Match } from '../../model/match.js'
import { problem } from '../problems.js'
import { createIgnorer, isPageLoad } from './audience.js'
import type { PublicParts } from './parts.js'
import { type Patience, WaitsClosed } from './patience.js'
import type { Places } from './places.js'
import { createPulse } from './pulse.js'
import { createQuiet } from './quiet.js'
import {
  full,
  late,
  noRoute,
  notReady,
  notWoken,
  RETRY_SECONDS,
  type Refusal,
  stopping,
  wakeFailed,
} from './refusals.js'
import { progressOf } from './steps.js'
import type { Visit } from './visit.js'
import { eventsPathOf } from './wake-events.js'

/** Lets requests wait until their app is awake: programs as long as it takes, people for a moment, then before a page. */
export interface Awakener {
  /** @returns where the request goes now, or what it gets instead. @throws the signal's reason; what ended all waiting */
  awaken(visit: Visit, match: Match): Promise<Match | Refusal>
  /** Waits for the first plan. @returns whether there is one */
  planned(visit: Visit): Promise<boolean>
}

interface Parts extends Pick<PublicParts, 'world' | 'waker' | 'settings' | 'clock' | 'log'> {
  readonly places: Places
  readonly patience: Patience
  readonly find: (visit: Visit) => Match | undefined
}

/** Until there is a plan, requests wait in a queue of their own. */
const NO_GROUP = ''

export function createAwakener({ world, waker, settings, clock, log, places, patience, find }: Parts): Awakener {
  const ignores = createIgnorer(settings)
  const pulse = createPulse(clock)
  const isNews = createQuiet(clock)

  async function waitFor(visit: Visit, { route, backend: { group, stack } }: Match, isPage: boolean) {
    const startedAt = clock.elapsed()
    const ms = isPage ? graceLeft(group) : settings.timeout
    const left = () => ({ ms: Math.max(0, ms - (clock.elapsed() - startedAt)), signal: visit.signal })
    const isAwake = await patience.awake(group, left())
    if (isAwake) visit.record.readyAt = clock.elapsed()
    const found = isAwake ? await patience.until(() => servedNow(visit), left()) : undefined
    visit.record.heldMs = Math.round(clock.elapsed() - startedAt)
    return found ?? (isPage ? waitingPage(route, group, stack) : late(stack))
  }

  /** An app that was not there soon enough for the first who opened it is slow for whoever comes next. */
  function graceLeft(group: string): number {
    const state = waker.state(group)
    return state?.phase === 'waking' ? settings.grace - (clock.now() - state.since) : settings.grace
  }

  /** Awake and in the plan; or gone from it. */
  function servedNow(visit: Visit): Match | Refusal | undefined {
    const match = find(visit)
    if (!match) return noRoute
    return match.backend.servers.length > 0 ? match : undefined
  }

  function waitingPage(route: Match['route'], group: string, stack: string): Refusal {
    const { phase: _, ...progress } = progressOf(waker.state(group), clock.now())
    return {
      outcome: 'waiting-page',
      problem: problem(503, 'It was asleep, and is being started.'),
      page: 'waiting',
      context: { stack, headline: `${stack} is waking up`, eventsPath: eventsPathOf(route), ...progress },
      retryAfter: RETRY_SECONDS,
      refreshes: true,
    }
  }

  function explain(visit: Visit, { group, stack }: Match['backend'], error: unknown): Refusal {
    if (codeOf(error) === 'NO_SUCH_GROUP') return find(visit) ? notReady(stack) : noRoute
    if (codeOf(error) === 'STOPPING') return stopping
    if (codeOf(error) !== 'WAKE_FAILED' && codeOf(error) !== 'WAKE_TIMEOUT') {
      log.error({ group, err: error }, 'a group could not be woken')
    }
    return wakeFailed(error, stack, waker.state(group), clock.now())
  }

  return {
    async planned(visit) {
      const leave = places.take(NO_GROUP)
      if (!leave) return false
      const plan = await patience.until(world.plan, { ms: settings.timeout, signal: visit.signal }).finally(leave)
      return plan !== undefined
    },
    async awaken(visit, match) {
      const { route, backend } = match
      const { group, stack, held, servers } = backend
      const phase = waker.state(group)?.phase
      if (!held && servers.length === 0) return notReady(stack)
      if (phase !== 'awake' && phase !== 'waking' && ignores(visit.ask, visit.request.headers['user-agent'])) {
        return notWoken(stack)
      }
      const isPage = !visit.upgrade && isPageLoad(visit.ask, visit.request.headers)
      const leave = places.take(group)
      if (!leave && isNews(group)) log.warn({ group, held: places.taken() }, 'no more requests can be held')
      if (!leave && !isPage) return full
      const rest = pulse.feel(visit)
      try {
        if (leave) return await waitFor(visit, match, isPage)
        await patience.awake(group, { ms: 0, signal: visit.signal })
        return waitingPage(route, group, stack)
      } catch (error) {
        if (visit.signal.aborted || error instanceof WaitsClosed) throw error
        return explain(visit, backend, error)
      } finally {
        rest()
        leave?.()
      }
    },
  }
}
