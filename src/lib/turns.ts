/** One job at a time, in the order of asking. A job that fails does not hinder the next. */
export function createTurns() {
  let last: Promise<unknown> = Promise.resolve()
  return {
    take<T>(job: () => Promise<T>): Promise<T> {
      const turn = last.then(job, job)
      last = turn.catch(() => undefined)
      return turn
    },
  }
}

/**
 * Runs a job under a signal that fires with any of these. Leaves no listener behind, unlike `AbortSignal.any`, whose
 * source keeps a trace of every derived signal for its whole life.
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
