import { createBackoff } from '../../lib/backoff.js'
import type { Clock } from '../../lib/clock.js'
import type { Instance } from '../../model/instance.js'
import type { SourceEvents } from '../source.js'
import type { Read } from './instances.js'

export interface FollowOptions {
  readonly read: () => Promise<Read>
  readonly pollIntervalMs: number
  readonly clock: Clock
  readonly events: SourceEvents
  readonly signal: AbortSignal
}

/** While something starts or stops, somebody may be waiting for it; what never ends is not waited for like that. */
const CHANGING_MS = 500
const HURRY_MS = 60_000

/** Reads at every interval, and sooner while something is under way. Ends only by the signal, with its AbortError. */
export async function follow({ read, pollIntervalMs, clock, events, signal }: FollowOptions): Promise<never> {
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
      // Reading shall take a third of the time at most, however large Rancher is.
      const isUrgent = isChanging && startedMs - changedAt < HURRY_MS
      const wantedMs = isUrgent ? Math.min(CHANGING_MS, pollIntervalMs) : pollIntervalMs
      await clock.sleep(Math.max(wantedMs, 2 * readMs), signal)
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
