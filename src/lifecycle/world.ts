import type { Groups } from '../model/groups.js'
import type { Instance } from '../model/instance.js'
import type { Plan } from '../model/plan.js'
import type { Runtime } from '../runtimes/runtime.js'

/** What lifecycle knows of the rest: facts as the plan sees them, the plan, and what can act on containers. */
export interface World {
  /** Undefined while it is too early. */
  plan(): Plan | undefined
  groups(): Groups | undefined
  instances(): readonly Instance[] | undefined
  /** The runtime of a source; undefined when its containers can only be looked at. */
  runtime(source: string): Runtime | undefined
  /** Calls back after everything that may have changed the above. @returns what ends it */
  onChange(listener: () => void): () => void
}

/** Whether requests can be answered now, without starting anything. */
export type Phase =
  /** Nothing of it runs; a request starts it. */
  | 'asleep'
  /** It is being started, or something of it runs and it is not ready, whoever started it. */
  | 'waking'
  | 'awake'
  /** Its routes lead to the public port already; its containers run until they have finished what they have. */
  | 'falling-asleep'
  /** The last start failed; nothing is started before `retryAt`. */
  | 'failed'

export interface GroupState {
  readonly group: string
  readonly phase: Phase
  /** Since when, in milliseconds since the epoch. */
  readonly since: number
  /** What has been done and is under way, for people who wait. */
  readonly steps: readonly WakeStep[]
  readonly failure?: WakeFailure
  /** A container that ends within seconds, again and again, whoever starts it. */
  readonly crashing?: { readonly service: string; readonly times: number }
  /** The last start that ended well: when, and how long it took. */
  readonly lastWake?: { readonly at: number; readonly ms: number }
}

export interface WakeStep {
  /** The container's service. */
  readonly service: string
  readonly what: 'waiting' | 'starting' | 'probing' | 'ready' | 'failed'
  /** Since when, in milliseconds since the epoch. */
  readonly at: number
}

export interface WakeFailure {
  readonly service: string
  /** For people, without secrets: "its container ended with code 1 after 0.3 s". */
  readonly reason: string
  /** Milliseconds since the epoch. */
  readonly retryAt: number
}

/** Starts groups. */
export interface Waker {
  /**
   * Starts what a group needs, once however many ask, and resolves when every backend of it is ready (at once when it is).
   * @throws HostlerError `WAKE_FAILED` with the reason, at once while its breaker is open; `WAKE_TIMEOUT`; `NO_SUCH_GROUP`;
   *   `STOPPING`. Their messages are fit for everybody.
   */
  wake(group: string): Promise<void>
  state(group: string): GroupState | undefined
  /** Tells every change of a group's state until ended. @returns what ends it */
  follow(group: string, listener: (state: GroupState) => void): () => void
  stop(): Promise<void>
}

/** Puts groups to sleep. */
export interface Sleeper {
  /**
   * Routes to the public port, in force; waits for requests under way; stops, pauses or removes in reverse order what may be
   * woken again.
   *
   * `cancelled`: a wake came meanwhile, or what was idle turned out to be in use. `refused`: it is being woken, others that
   * are awake need it, a proxy does not take the plan, or a container could not be stopped. @throws HostlerError
   * `NO_SUCH_GROUP`
   */
  sleep(group: string, why: SleepReason): Promise<'asleep' | 'cancelled' | 'refused'>
  /**
   * Removes these containers of a group, by their keys, in the same order: no request meets one that is going. Whatever
   * their `on-idle` says; the others of the group go on, and what they depend on stays. No wake cancels it: it waits.
   * @returns what became of it
   */
  remove(group: string, keys: readonly string[], why: SleepReason): Promise<'removed' | 'refused'>
  stop(): Promise<void>
}

export type SleepReason = 'idle' | 'max-age' | 'asked'

/** What became of a wake or a sleep, for metrics. */
export type LifecycleEvent =
  | { readonly what: 'woken'; readonly group: string; readonly ms: number }
  | { readonly what: 'wake-failed'; readonly group: string; readonly code: string; readonly ms: number }
  | {
      readonly what: 'slept'
      readonly group: string
      readonly why: SleepReason
      readonly result: 'asleep' | 'removed' | 'cancelled' | 'refused'
      readonly ms: number
    }
