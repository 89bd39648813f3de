import type { Clock } from '../lib/clock.js'
import { createDeferred } from '../lib/deferred.js'
import { inTime } from '../lib/signals.js'
import type { World } from './world.js'

/** Waits for the world to be thus or thus: by its changes, never by a tick. */
export interface Lookout {
  /** Resolves when `condition` holds, now or after a change. @throws what it throws, or when the signal fires */
  until(condition: () => boolean, signal: AbortSignal): Promise<void>
  /** The same, for so long at most. @returns whether it holds */
  within(ms: number, condition: () => boolean, signal: AbortSignal): Promise<boolean>
  /** Looks whenever those who wait do, before them. */
  first(look: () => void): void
  /** Something changed that the world does not tell of. */
  stir(): void
  stop(): void
}

/** What arrives together is looked at once: a burst of a thousand events must not make a thousand plans. */
export function createLookout({
  world,
  clock,
}: {
  readonly world: Pick<World, 'onChange'>
  readonly clock: Clock
}): Lookout {
  const looks = new Set<() => void>()
  const before: (() => void)[] = []
  let isDue = false
  const lookAround = () => {
    isDue = false
    for (const look of [...before, ...looks]) look()
  }
  const stir = () => {
    if (isDue || before.length + looks.size === 0) return
    isDue = true
    setImmediate(lookAround)
  }

  function until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    const found = createDeferred()
    const look = () => {
      try {
        if (condition()) found.resolve()
      } catch (error) {
        found.reject(error)
      }
    }
    const leave = () => found.reject(signal.reason)
    if (signal.aborted) leave()
    else {
      looks.add(look)
      signal.addEventListener('abort', leave)
      look()
    }
    return found.promise.finally(() => {
      looks.delete(look)
      signal.removeEventListener('abort', leave)
    })
  }

  return {
    until,
    within: async (ms, condition, signal) =>
      (await inTime({ ms, clock }, signal, (ending) => until(condition, ending).then(() => true))) === true,
    first: (look) => void before.push(look),
    stir,
    stop: world.onChange(stir),
  }
}
