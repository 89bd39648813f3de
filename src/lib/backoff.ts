/** Delays that double from `firstMs` up to `maxMs`, with up to a quarter of jitter so that a fleet does not retry in step. */
export interface Backoff {
  /** The delay to wait now, in milliseconds. */
  next(): number
  reset(): void
}

export function createBackoff({ firstMs, maxMs, random = Math.random }: BackoffOptions): Backoff {
  let delayMs = firstMs
  return {
    next() {
      const current = delayMs
      delayMs = Math.min(delayMs * 2, maxMs)
      return Math.round(current * (1 - random() / 4))
    },
    reset() {
      delayMs = firstMs
    },
  }
}

interface BackoffOptions {
  firstMs: number
  maxMs: number
  random?: () => number
}
