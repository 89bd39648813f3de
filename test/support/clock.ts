import type { Clock } from '../../src/lib/clock.js'

/** Time that passes only when a test says so. */
export interface FakeClock extends Clock {
  /** Lets time pass and wakes who slept long enough. */
  pass(ms: number): Promise<void>
  /** How many are asleep. */
  sleepers(): number
}

export function createFakeClock(startMs = 1_000_000): FakeClock {
  let now = startMs
  const asleep = new Set<{ until: number; wake: () => void }>()
  return {
    now: () => now,
    elapsed: () => now,
    sleepers: () => asleep.size,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(aborted())
        const entry = { until: now + ms, wake: () => resolve() }
        asleep.add(entry)
        signal?.addEventListener('abort', () => {
          asleep.delete(entry)
          reject(aborted())
        })
      }),
    async pass(ms) {
      now += ms
      for (const entry of asleep) {
        if (entry.until > now) continue
        asleep.delete(entry)
        entry.wake()
      }
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

/** As Node's own timers have it: not the signal's reason. */
const aborted = () => new DOMException('The operation was aborted', 'AbortError')
