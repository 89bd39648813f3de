import type { Socket } from 'node:net'
import type { Clock } from '../../lib/clock.js'
import type { Visit } from './visit.js'

/**
 * Finds out which of those who wait are gone. Who hangs up is noticed by reading; but a body that is left to the kernel is
 * not read. Writing nothing to its connection fails once that was reset, which is what a proxy does whose client has left.
 * A client without a proxy that closes in good order is found out only when its body is read.
 */
export interface Pulse {
  /** @returns what ends it */
  feel(visit: Visit): () => void
}

const PAUSE_MS = 500
const NOTHING = Buffer.alloc(0)

export function createPulse(clock: Clock): Pulse {
  const waiting = new Set<Visit>()
  let asleep: AbortController | undefined

  async function beat(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(PAUSE_MS, signal)
      for (const { request } of waiting) if (!request.complete) touch(request.socket)
    }
  }

  return {
    feel(visit) {
      if (!visit.ask.hasBody) return () => undefined
      waiting.add(visit)
      if (!asleep) {
        asleep = new AbortController()
        beat(asleep.signal).catch(() => undefined)
      }
      return () => {
        waiting.delete(visit)
        if (waiting.size > 0) return
        asleep?.abort(NOBODY)
        asleep = undefined
      }
    },
  }
}

const NOBODY = new Error('nobody waits with a body')

function touch(socket: Socket): void {
  if (socket.writable && socket.writableLength === 0) socket.write(NOTHING)
}
