import type { Alarm } from '../../lib/alarm.js'
import { createBackoff } from '../../lib/backoff.js'
import type { Clock } from '../../lib/clock.js'
import type { Instance } from '../../model/instance.js'
import type { SourceEvents } from '../source.js'
import { HURRY_MS, type Read } from './instances.js'

export interface FollowOptions {
  readonly read: () => Promise<Read>
  readonly pollIntervalMs: number
  readonly clock: Clock
  /** Rings when there may be something to see. */
  readonly alarm: Alarm
  readonly events: SourceEvents
  readonly signal: AbortSignal
}

/** While something starts or stops, somebody may be waiting for it. */
const CHANGING_MS = 500

/** Reads at every interval, and sooner while something is under way. Ends only by the signal, with its AbortError. */
export async function follow({ read, pollIntervalMs, clock, alarm, events, signal }: FollowOptions): Promise<never> {
  const backoff = createBackoff({ firstMs: 250, maxMs: Math.max(pollIntervalMs, 10_000) })
  let last: readonly Instance[] | undefined
  let changedAt = clock.elapsed()
  let broken = false

  for (;;) {
    const startedMs = clock.elapsed()
    try {
      const { instances, isChanging } = await read()
      if (!isSame(instances, last)) changedAt = startedMs
      if (broken || !isSame(instances, last)) events.report(instances)
      last = instances
      broken = false
      backoff.reset()
      const readMs = clock.elapsed() - startedMs
      const isUrgent = isChanging && startedMs - changedAt < HURRY_MS
      const wantedMs = isUrgent ? Math.min(CHANGING_MS, pollIntervalMs) : pollIntervalMs
      // Reading shall take a third of the time at most, however large Rancher is and whoever rings.
      if (readMs > 0) await clock.sleep(2 * readMs, signal)
      await alarm.wait(Math.max(wantedMs - 2 * readMs, 0), signal)
      signal.throwIfAborted()
    } catch (error) {
      signal.throwIfAborted()
      if (!broken) events.failed(error)
      broken = true
      await clock.sleep(backoff.next(), signal)
    }
  }
}

const isSame = (a: readonly Instance[], b: readonly Instance[] | undefined) =>
  a.length === b?.length && a.every((instance, index) => instance === b[index])
