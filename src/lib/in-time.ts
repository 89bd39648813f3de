import type { Clock } from './clock.js'

/**
 * What `work` gives within `ms`, or undefined. Its signal fires at the latest when this is over.
 * (The signals are linked by hand: `AbortSignal.any` leaves a trace on one that lives as long as the process.)
 * @throws what `work` throws, or when the signal fires
 */
export async function inTime<T>(
  { ms, clock }: { readonly ms: number; readonly clock: Clock },
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  signal.throwIfAborted()
  const over = new AbortController()
  const leave = () => over.abort(signal.reason)
  signal.addEventListener('abort', leave)
  const result = work(over.signal)
  result.catch(() => undefined)
  try {
    return await Promise.race([result, clock.sleep(ms, over.signal).then(() => undefined)])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', leave)
    over.abort()
  }
}
