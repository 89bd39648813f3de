import type { ServerResponse } from 'node:http'
import type { Clock } from '../../lib/clock.js'
import type { GroupState, Waker } from '../../lifecycle/world.js'
import type { Route } from '../../model/plan.js'
import type { Places } from './places.js'
import { progressOf } from './steps.js'
import type { Visit } from './visit.js'

/**
 * Tells a waiting page how the start goes, as server-sent events: `progress` with what is shown, and once `over` when it is
 * time to load the page anew.
 *
 * The address lies below the route's own path, so that a proxy sends it where it sent the page; the group is the one that
 * the request itself would wake, so that nobody can follow another's. It starts nothing, and is never sent to an app.
 */
export interface WakeEvents {
  /** Resolves when it has ended. @returns false when there is no place for one more */
  follow(visit: Visit, group: string): Promise<boolean>
  /** Ends every one. */
  close(): void
}

export const eventsPathOf = ({ path }: Pick<Route, 'path'>): string =>
  `${path === '/' ? '' : path}/.hostler/wake-events`

interface Parts {
  readonly waker: Pick<Waker, 'state' | 'follow'>
  readonly clock: Clock
  readonly places: Places
}

/** Nothing is sent for so long at most, lest a proxy takes the connection for dead. */
const HEARTBEAT_MS = 15_000
/** A page that is left open connects again by itself. */
const LONGEST_MS = 600_000

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
}

export function createWakeEvents({ waker, clock, places }: Parts): WakeEvents {
  const open = new Set<ServerResponse>()
  return {
    close() {
      for (const response of open) response.end()
    },
    async follow({ ask, response, signal }, group) {
      const leave = places.take(group)
      if (!leave) return false
      open.add(response)
      response.writeHead(200, HEADERS)
      response.write('retry: 1000\n\n')
      const isOver = createEnding()
      const tell = (state: GroupState | undefined) => write(response, state, isOver(state), clock.now())
      const end = waker.follow(group, tell)
      try {
        tell(waker.state(group))
        if (ask.method !== 'HEAD') await beat(response, clock, signal)
      } finally {
        end()
        leave()
        open.delete(response)
        response.end()
      }
      return true
    },
  }
}

/** Of a start that somebody has called off the page asks anew, as one without scripts does: it is still wanted. */
function createEnding(): (state: GroupState | undefined) => boolean {
  let hasBegun = false
  return (state) => {
    if (state?.phase === 'waking') hasBegun = true
    return state?.phase === 'awake' || state?.phase === 'failed' || (hasBegun && state?.phase !== 'waking')
  }
}

function write(response: ServerResponse, state: GroupState | undefined, isOver: boolean, now: number): void {
  if (response.writableEnded) return
  // A page that is behind gets the next one; only the last one counts.
  if (!response.writableNeedDrain) response.write(eventOf('progress', progressOf(state, now)))
  if (isOver) response.end(eventOf('over', {}))
}

async function beat(response: ServerResponse, clock: Clock, signal: AbortSignal): Promise<void> {
  const endsAt = clock.elapsed() + LONGEST_MS
  while (!signal.aborted && clock.elapsed() < endsAt) {
    await clock.sleep(HEARTBEAT_MS, signal).catch(() => undefined)
    if (!response.writableEnded) response.write(': still here\n\n')
  }
}

const eventOf = (name: string, data: object): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
