import { HostlerError } from './errors.js'

/**
 * Runs `work` with a signal that fires when `signal` does or after `timeoutMs`, and rejects at that moment even if
 * `work` does not listen. (In Node.js 20 `AbortSignal.any` on a signal that lives as long as the process leaks, and with
 * `AbortSignal.timeout` among its sources it never fires once the garbage collector has been there.)
 * @throws HostlerError `TIMEOUT`
 */
export async function withDeadline<T>(
  { timeoutMs, what }: { timeoutMs: number; what: string },
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const controller = new AbortController()
  const pass = () => controller.abort(signal.reason)
  signal.addEventListener('abort', pass)
  const timer = setTimeout(
    () => controller.abort(new HostlerError('TIMEOUT', `${what} took longer than ${timeoutMs / 1000} s`)),
    timeoutMs,
  )
  const aborted = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason))
  })
  try {
    return await Promise.race([work(controller.signal), aborted])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', pass)
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
