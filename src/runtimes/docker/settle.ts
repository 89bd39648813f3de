import type { Clock } from '../../lib/clock.js'
import { RuntimeError } from '../runtime.js'
import type { Inspected } from './decode.js'
import { type Look, shortName } from './look.js'
import type { Timeouts } from './timeouts.js'

/** Waiting for what somebody else does to a container. Both resolve with what is left of it then. */
export interface Settling {
  /** When nobody is stopping it any more; only Podman tells that somebody is. */
  ended(found: Inspected, signal: AbortSignal): Promise<Inspected | undefined>
  /** When nobody is removing it any more. */
  leftOf(id: string, signal: AbortSignal): Promise<Inspected | undefined>
}

interface SettleDeps {
  readonly look: Look
  readonly timeouts: Timeouts
  readonly clock: Clock
}

const PAUSE_MS = 100

export function createSettling({ look, timeouts, clock }: SettleDeps): Settling {
  async function settled(id: string, wait: Wait, signal: AbortSignal): Promise<Inspected | undefined> {
    for (const since = clock.elapsed(); clock.elapsed() - since < wait.timeoutMs; ) {
      const now = await look.inspect(id, signal)
      if (!now || !wait.isUnderWay(now)) return now
      await clock.sleep(PAUSE_MS, signal)
    }
    const tooLong = `${wait.what} container ${shortName(id)}, for ${wait.timeoutMs / 1000} s`
    throw new RuntimeError('unreachable', `somebody else is ${tooLong}`)
  }
  return {
    ended: ({ workload: { id }, stopTimeoutMs }, signal) => {
      const timeoutMs = stopTimeoutMs + timeouts.stopMs
      const isUnderWay = ({ workload: { state } }: Inspected) => state === 'stopping'
      return settled(id, { what: 'stopping', timeoutMs, isUnderWay }, signal)
    },
    leftOf: (id, signal) => {
      const isUnderWay = ({ removing }: Inspected) => removing
      return settled(id, { what: 'removing', timeoutMs: timeouts.removeMs, isUnderWay }, signal)
    },
  }
}

interface Wait {
  readonly what: string
  readonly timeoutMs: number
  readonly isUnderWay: (now: Inspected) => boolean
}
