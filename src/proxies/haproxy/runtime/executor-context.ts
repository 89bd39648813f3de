import type { Clock } from '../../../lib/clock.js'
import { HostlerError } from '../../../lib/errors.js'
import type { Logger } from '../../../lib/logger.js'
import type { Removals } from './executor-removals.js'
import { type CommandKind, verified } from './replies.js'
import type { RuntimeSession } from './socket.js'
import type { Command } from './socket-command.js'
import type { SpareState } from './spares.js'
import type { WorkerIdentity } from './state-dumps.js'
import type { Step } from './types.js'

/** What a step gets to work with. All steps of a run speak with one worker. */
export interface StepContext {
  readonly session: RuntimeSession
  readonly worker: WorkerIdentity
  /**
   * Takes away what a step left behind when it failed, over a connection of its own: the one that it failed on may be of no
   * use, and the run may have been aborted. That it could not be undone is no news.
   */
  undo(work: (session: RuntimeSession) => Promise<unknown>): Promise<void>
  readonly removals: Removals
  /** To speak of the backends that spares serve. */
  readonly spares: Pick<SpareState, 'used'>
  readonly clock: Clock
  readonly log: Logger
  readonly signal: AbortSignal
}

export type StepOf<K extends Step['kind']> = Extract<Step, { kind: K }>

export type Execute<K extends Step['kind']> = (step: StepOf<K>, context: StepContext) => Promise<void>

/** Sends one command; what HAProxy made, or throws as `verified` does. */
export async function command(
  { session }: StepContext,
  kind: CommandKind,
  text: Command,
  subject?: string,
): Promise<string> {
  return verified(kind, await session.ask(text), subject)
}

/** A step that no HAProxy is asked to do, because it would take it for something else. */
export const refusedStep = (message: string) =>
  new HostlerError('HAPROXY_STEP_UNSAFE', `${message} HAProxy's runtime API would not do that; a reload can.`)
