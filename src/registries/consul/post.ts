import { createBackoff } from '../../lib/backoff.js'
import type { Clock } from '../../lib/clock.js'
import { messageOf } from '../../lib/errors.js'
import type { AskedHere, ConsulAgent } from './agent.js'
import { noOutcome, type Outcome } from './attempts.js'

/**
 * What is to be at one agent, in turns: one at a time, each with the newest that was asked for. A turn that fails is due again
 * after a while that grows.
 */
export interface Post {
  readonly url: string
  readonly agent: ConsulAgent
  /** The last turn went well. */
  isWell(): boolean
  /** Why the last turn failed; undefined where it did not. */
  error(): unknown
  /** What is there now, and what was written and removed since this was asked last. */
  news(): Outcome
  /** Nothing is asked for here. */
  isIdle(): boolean
  /** Nothing was ever asked for here, and what was left is taken back. */
  isCleared(): boolean
  /** A turn that failed is not due yet. */
  isResting(): boolean
  /** How long until the next one is due; undefined where it is due, or under way, or not needed. */
  restMs(): number | undefined
  /** The rest is over. */
  wake(): void
  /** For how long no turn has gone well, in milliseconds. */
  badMs(): number
  /** Resolves, always, when a turn with what is asked for now has ended. */
  take(asked: AskedHere, signal: AbortSignal): Promise<void>
  /** Resolves when no turn is under way. */
  quiet(): Promise<void>
}

/** A host that is gone for good is asked rarely. */
const MAX_REST_MS = 30_000

export function createPost(url: string, agent: ConsulAgent, clock: Clock): Post {
  const backoff = createBackoff({ firstMs: 250, maxMs: MAX_REST_MS })
  let asked: AskedHere | undefined
  let turn: Promise<void> | undefined
  let outcome: Outcome = noOutcome()
  let isWell = false
  let error: unknown
  let restsUntil: number | undefined
  let wellAt = clock.elapsed()
  let wasAsked = false
  let isCleared = false

  async function work(signal: AbortSignal): Promise<void> {
    let done: AskedHere | undefined
    while (asked && done !== asked) {
      done = asked
      try {
        ended(await agent.sync(done, signal))
        isCleared = done.isWhole && !wasAsked
      } catch (cause) {
        failed(cause)
        return
      }
    }
  }

  function ended(result: Outcome): void {
    const { written, removed } = outcome
    outcome = { ...result, written: written + result.written, removed: removed + result.removed }
    isWell = true
    error = undefined
    restsUntil = undefined
    wellAt = clock.elapsed()
    backoff.reset()
  }

  function failed(cause: unknown): void {
    outcome = { ...outcome, entries: 0, troubles: [] }
    isWell = false
    error = cause
    restsUntil = clock.elapsed() + backoff.next()
  }

  return {
    ...{ url, agent },
    isWell: () => isWell,
    error: () => error,
    news() {
      const told = outcome
      outcome = { ...outcome, written: 0, removed: 0 }
      return told
    },
    isIdle: () => asked === undefined || asked.entries.size === 0,
    isCleared: () => isCleared,
    isResting: () => restsUntil !== undefined && clock.elapsed() < restsUntil,
    restMs: () => (restsUntil === undefined || turn ? undefined : Math.max(0, restsUntil - clock.elapsed())),
    wake() {
      restsUntil = undefined
    },
    badMs: () => clock.elapsed() - wellAt,
    take(next, signal) {
      asked = next
      if (next.entries.size > 0) {
        wasAsked = true
        isCleared = false
      }
      turn ??= work(signal).finally(() => {
        turn = undefined
      })
      return turn
    },
    async quiet() {
      await turn
    },
  }
}

/** What a failed turn means for whoever reads of it. */
export const failureOf = ({ agent, error, isIdle }: Post): string =>
  isIdle()
    ? `what was announced at ${agent.shown} earlier cannot be taken back: ${messageOf(error())}`
    : `what belongs at ${agent.shown} cannot be announced: ${messageOf(error())}`
