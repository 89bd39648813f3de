import type { Clock } from '../../lib/clock.js'
import { HostlerError } from '../../lib/errors.js'
import type { Server } from '../../model/plan.js'

/**
 * Lets no more through to a server at once than its `maxconn` allows, first come first served, as HAProxy does. It matters
 * most when a thousand have waited for an app that has just started.
 */
export interface Turnstile {
  /** @returns what lets the next one through. @throws HostlerError `UPSTREAM_BUSY`; the signal's reason */
  enter(server: Server, signal: AbortSignal): Promise<() => void>
}

/** HAProxy's `timeout queue` in our base configuration. */
const PATIENCE_MS = 30_000

interface Gate {
  inside: number
  readonly queue: Set<() => void>
}

export function createTurnstile(clock: Clock): Turnstile {
  const gates = new Map<string, Gate>()
  return {
    async enter(server, signal) {
      const { address, port } = server
      const most = mostOf(server)
      if (most === undefined) return () => undefined
      const key = `${address} ${port}`
      const gate = gates.get(key) ?? { inside: 0, queue: new Set() }
      gates.set(key, gate)
      if (gate.inside < most) gate.inside++
      // Whoever leaves hands over the place.
      else await turn(gate.queue, signal)
      return () => {
        const [next] = gate.queue
        if (next) next()
        else if (--gate.inside === 0) gates.delete(key)
      }
    },
  }

  function turn(queue: Set<() => void>, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = new AbortController()
      const settle = (act: () => void) => {
        timer.abort(OVER)
        queue.delete(pass)
        signal.removeEventListener('abort', leave)
        act()
      }
      const pass = () => settle(resolve)
      const leave = () => settle(() => reject(signal.reason))
      const tooLate = () =>
        settle(() => reject(new HostlerError('UPSTREAM_BUSY', 'the app has all the connections it may')))
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave)
      queue.add(pass)
      clock.sleep(PATIENCE_MS, timer.signal).then(tooLate, () => undefined)
    })
  }
}

const OVER = new Error('the wait is over')

const mostOf = ({ maxconn, options }: Server): number | undefined =>
  maxconn ?? numberIn(options.find((option) => option.startsWith('maxconn ')))

const numberIn = (option: string | undefined): number | undefined =>
  option === undefined ? undefined : Number(option.slice('maxconn '.length)) || undefined
