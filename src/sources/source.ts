import type { Logger } from 'pino'
import type { Instance } from '../model/instance.js'

/**
 * Where facts come from. A source never interprets routing labels: it reports what exists and how to reach it.
 *
 * Contract:
 * - `list` tells the whole truth now, or throws. An outage must never read as "nothing is running".
 * - Instances are sorted by id, ids are unique, and an instance that did not change is the same object as last time.
 * - Both methods stop within a moment when the signal fires; `list` then rejects, `watch` resolves.
 */
export interface Source {
  /** Unique among the running sources; shown in status, logs and metrics. */
  readonly name: string
  list(signal: AbortSignal): Promise<readonly Instance[]>
  /**
   * Follows changes and calls `report` with everything now known, cheaply: one event costs one look-up, never a relist.
   * Reconnects by itself with backoff, and lists again after a gap. Calls `failed` once per outage with what is wrong;
   * the next `report` ends the outage. Resolves only when aborted.
   */
  watch(events: SourceEvents, signal: AbortSignal): Promise<void>
  /** Somebody here has acted on what it tells of: `watch` looks at once, where it would otherwise have to wait for its turn. */
  nudge?(): void
}

export interface SourceEvents {
  report(instances: readonly Instance[]): void
  failed(error: unknown): void
}

/** What every source factory gets beside its settings. */
export interface SourceContext {
  readonly log: Logger
}
