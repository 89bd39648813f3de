import type { Logger } from 'pino'
import type { Clock } from '../lib/clock.js'
import type { Instance } from '../model/instance.js'
import type { LabelRules } from '../model/wishes.js'

/**
 * A registry that we keep in step with what runs.
 *
 * Contract:
 * - What was announced and is not asked for any more is taken back; what others announced is never touched.
 * - Only differences are written. A call without news writes nothing, unless the registry itself has changed.
 * - Every method ends within a moment when the signal fires.
 */
export interface Registry {
  readonly name: string
  /**
   * Makes what we announce there equal to what these facts ask for, and resolves when it is. What of one container cannot be
   * announced is told as a trouble and hinders nobody else. One call at a time.
   * @throws HostlerError when the registry cannot be reached or refuses as a whole; it is called again with backoff
   */
  sync(facts: AnnouncedFacts, signal: AbortSignal): Promise<SyncResult>
  /** Whether it can be reached and read, for whoever asks beforehand. @returns what it found, in a few words; throws what is wrong */
  check?(signal: AbortSignal): Promise<string>
  /**
   * Keeps alive and looks after what is announced, until aborted; reconnects by itself. `disturbed` asks for a sync although
   * no fact has changed: the server lost its state, or somebody else took an entry of ours away.
   */
  run?(disturbed: () => void, signal: AbortSignal): Promise<void>
  /** A clean exit on which everything shall be taken back at once. */
  withdraw?(signal: AbortSignal): Promise<void>
  /** Ends connections. What was announced stays until its lease ends. */
  close?(): Promise<void>
}

export interface AnnouncedFacts {
  /** What runs here; the same object for what did not change. What a source has read in this same registry is not among them. */
  readonly instances: readonly Instance[]
  /** False while some source has told nothing yet: then nothing is taken back for being missing. */
  readonly isWhole: boolean
  /** Keys (`keyOf`) of those whose traffic is being taken away, for they are about to be stopped. */
  readonly draining: ReadonlySet<string>
}

export interface SyncResult {
  /** How many are announced now. */
  readonly entries: number
  readonly written: number
  readonly removed: number
  /** One line each, with container and remedy: what could not be announced, or not as its container asks. */
  readonly troubles: readonly string[]
}

/** What every registry factory gets beside its settings. */
export interface RegistryContext {
  /** By which labels are read. */
  readonly rules: LabelRules
  readonly log: Logger
  readonly clock: Clock
}
