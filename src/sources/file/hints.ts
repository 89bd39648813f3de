/** Remembers that something happened until somebody asks; hints that arrive together count once. */
export interface Hints {
  give(): void
  /** Resolves on the next hint (or the one not taken yet), after `timeoutMs`, or when the signal fires. */
  take(signal: AbortSignal, timeoutMs?: number): Promise<void>
}

export function createHints(): Hints {
  let given = false
  let wake = () => {}
  return {
    give() {
      given = true
      wake()
    },
    async take(signal, timeoutMs) {
      if (!given && !signal.aborted) await waitFor(signal, timeoutMs, (resolve) => (wake = resolve))
      given = false
    },
  }
}

async function waitFor(signal: AbortSignal, timeoutMs: number | undefined, register: (resolve: () => void) => void) {
  let timer: NodeJS.Timeout | undefined
  let abort = () => {}
  await new Promise<void>((resolve) => {
    abort = resolve
    register(resolve)
    signal.addEventListener('abort', abort, { once: true })
    if (timeoutMs !== undefined) timer = setTimeout(resolve, timeoutMs)
  })
  signal.removeEventListener('abort', abort)
  clearTimeout(timer)
}
