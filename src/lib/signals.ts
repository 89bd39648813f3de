import type { Clock } from './clock.js'
import { HostlerError } from './errors.js'

/**
 * Runs a job under a signal that fires with any of these. Leaves no listener behind, unlike `AbortSignal.any`, whose source
 * keeps a trace of every derived signal for its whole life (and which, in Node.js 20, never fires for an
 * `AbortSignal.timeout` among its sources once the garbage collector has been there).
 */
export async function linkedSignal<T>(
  signals: readonly AbortSignal[],
  job: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const linked = new AbortController()
  const undo: (() => void)[] = []
  for (const signal of signals) {
    const onAbort = () => linked.abort(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    undo.push(() => signal.removeEventListener('abort', onAbort))
  }
  try {
    linked.signal.throwIfAborted()
    return await job(linked.signal)
  } finally {
    for (const step of undo) step()
  }
}

/** Rejects when the signal fires, whatever the work does. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let fail: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    fail = () => reject(signal.reason)
    if (signal.aborted) fail()
    signal.addEventListener('abort', fail)
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (fail) signal.removeEventListener('abort', fail)
  }
}

/**
 * Runs `work` with a signal that fires when `signal` does or after `timeoutMs`, and rejects at that moment even if `work`
 * does not listen.
 * @throws HostlerError `TIMEOUT`
 */
export function withDeadline<T>(
  { timeoutMs, what }: { timeoutMs: number; what: string },
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const expire = () => late.abort(new HostlerError('TIMEOUT', `${what} took longer than ${timeoutMs / 1000} s`))
  const timer = setTimeout(expire, timeoutMs)
  return linkedSignal([signal, late.signal], (either) => orAborted(work(either), either)).finally(() =>
    clearTimeout(timer),
  )
}

/**
 * What `work` gives within `ms`, or undefined. Its signal fires at the latest when this is over.
 * @throws what `work` throws, or when the signal fires
 */
export async function inTime<T>(
  { ms, clock }: { readonly ms: number; readonly clock: Clock },
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const over = new AbortController()
  const race = (either: AbortSignal) => {
    const result = work(either)
    result.catch(() => undefined)
    const late = clock.sleep(ms, either).then(() => undefined)
    return Promise.race([result, late]).finally(() => over.abort())
  }
  try {
    return await linkedSignal([signal, over.signal], race)
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}
