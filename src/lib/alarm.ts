import type { Clock } from './clock.js'

/** Wakes one loop. A ring that comes while nobody waits is kept for the next wait; many rings are one. */
export interface Alarm {
  ring(): void
  /** Resolves at the next ring, after `ms` (never, when undefined), or when aborted, whichever is first. */
  wait(ms: number | undefined, signal: AbortSignal): Promise<void>
}

export function createAlarm(clock: Clock): Alarm {
  let rung = false
  let wake: () => void = () => undefined
  return {
    ring() {
      rung = true
      wake()
    },
    async wait(ms, signal) {
      if (!rung && !signal.aborted) {
        const timer = new AbortController()
        const woken = new Promise<void>((resolve) => {
          wake = resolve
          signal.addEventListener('abort', () => resolve(), { signal: timer.signal })
        })
        const late = ms === undefined ? woken : clock.sleep(ms, timer.signal).catch(() => undefined)
        await Promise.race([woken, late])
        timer.abort()
      }
      rung = false
    },
  }
}
