import { orAborted } from './signals.js'

/**
 * Lets pieces of work of one key run one after the other. An engine takes a start while the container is being stopped
 * for "it runs already", and the container ends all the same: so a start waits for the stop.
 */
export function createKeyedTurns() {
  const last = new Map<string, Promise<unknown>>()

  /** Rejects as soon as the signal fires, also while it waits. Work that has begun must end by that signal itself. */
  return async function inTurn<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const before = last.get(key)
    const mine = (before ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => {
        signal.throwIfAborted()
        return work()
      })
    last.set(key, mine)
    const forget = () => {
      if (last.get(key) === mine) last.delete(key)
    }
    mine.then(forget, forget)
    return orAborted(mine, signal)
  }
}
