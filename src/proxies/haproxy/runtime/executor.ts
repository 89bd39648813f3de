import type { Clock } from '../../../lib/clock.js'
import { HostlerError, messageOf } from '../../../lib/errors.js'
import type { Logger } from '../../../lib/logger.js'
import { addCertificate, removeCertificate, setCertificate } from './executor-certificates.js'
import type { Execute, StepContext } from './executor-context.js'
import { changeEntries, type EntryStep, isEntryStep, replaceMap } from './executor-maps.js'
import { createRemovals, type PendingRemoval } from './executor-removals.js'
import {
  addBackend,
  addServer,
  removeBackend,
  removeServer,
  setAddress,
  setReady,
  setWeight,
} from './executor-servers.js'
import { describeStep, NO_SPARES } from './planner-steps.js'
import type { RuntimeSocket } from './socket.js'
import type { SpareState } from './spares.js'
import { readWorker } from './state.js'
import { ASK_INFO, parseInfo } from './state-dumps.js'
import { isSameWorker, type Step, type WorkerKey } from './types.js'

export interface RunResult {
  readonly done: number
  /** The worker that did it, which is still the one that serves; undefined when there was nothing to do. */
  readonly worker?: WorkerKey
}

export interface RunOptions {
  /** The worker that the steps were planned for; with another one nothing is done. */
  readonly worker?: WorkerKey
  /** To speak of the backends that spares serve. */
  readonly spares?: Pick<SpareState, 'used'>
}

export interface Executor {
  /**
   * Does the steps in order; returns when HAProxy has said that each is done, and that the worker which did them still
   * serves. Throws HAPROXY_STEP_FAILED, which names the step and the cause (HAProxy's words, or what was wrong with the
   * socket): nothing after it was tried, except other map entries sent along with one that failed. Throws
   * HAPROXY_WORKER_REPLACED when a reload came in between: what was done is lost with the old worker.
   */
  run(steps: readonly Step[], signal: AbortSignal, options?: RunOptions): Promise<RunResult>
  /** The removals that wait for connections to end. */
  describe(): readonly PendingRemoval[]
}

export interface ExecutorOptions {
  readonly socket: RuntimeSocket
  readonly clock: Clock
  readonly log: Logger
  /** Ends what goes on in the background. */
  readonly signal: AbortSignal
  /** How long a removed server may take to finish its connections before it is no longer watched. */
  readonly giveUpAfterMs?: number
}

const HOUR_MS = 3_600_000

export function createExecutor(options: ExecutorOptions): Executor {
  const { socket, clock, log } = options
  const removals = createRemovals({ giveUpAfterMs: 24 * HOUR_MS, ...options })
  return {
    describe: () => [...removals.pending.values()],
    async run(steps, signal, { worker: planned, spares = NO_SPARES } = {}) {
      if (steps.length === 0) return { done: 0 }
      const ran = await socket.session(async (session) => {
        const worker = parseInfo(await session.ask(ASK_INFO))
        if (worker.stopping || (planned && !isSameWorker(planned, worker))) throw replaced(socket.path, 0)
        await runAll(steps, { session, worker, undo: undoing(socket, worker), removals, spares, clock, log, signal })
        return worker
      }, signal)
      const now = await readWorker(socket, signal)
      if (!isSameWorker(now, ran)) throw replaced(socket.path, steps.length)
      return { done: steps.length, worker: ran }
    },
  }
}

const UNDO_MS = 2000

const undoing =
  (socket: RuntimeSocket, worker: WorkerKey): StepContext['undo'] =>
  (work) =>
    socket
      .session(async (session) => {
        if (isSameWorker(parseInfo(await session.ask(ASK_INFO)), worker)) await work(session)
      }, AbortSignal.timeout(UNDO_MS))
      .catch(() => undefined)

async function runAll(steps: readonly Step[], context: StepContext): Promise<void> {
  let done = 0
  const began = context.clock.elapsed()
  try {
    for (const group of groupsOf(steps)) {
      if (group.every(isEntryStep)) await changeEntries(group, context, () => done++)
      else for (const step of group) await perform(step, context).then(() => done++)
    }
  } catch (error) {
    context.signal.throwIfAborted()
    throw failed(steps, done, error, context)
  }
  context.log.debug({ steps: done, ms: Math.round(context.clock.elapsed() - began) }, 'runtime steps done')
}

/** Changes of map entries that follow each other belong together; every other step stands alone. */
function groupsOf(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = []
  for (const step of steps) {
    const last = groups.at(-1)
    if (isEntryStep(step) && last?.every(isEntryStep)) last.push(step)
    else groups.push([step])
  }
  return groups
}

const EXECUTORS: { readonly [K in Exclude<Step['kind'], EntryStep['kind']>]: Execute<K> } = {
  'add-server': addServer,
  'set-address': setAddress,
  'set-weight': setWeight,
  'set-ready': setReady,
  'remove-server': removeServer,
  'add-backend': addBackend,
  'remove-backend': removeBackend,
  'replace-map': replaceMap,
  'set-certificate': setCertificate,
  'add-certificate': addCertificate,
  'remove-certificate': removeCertificate,
}

async function perform(step: Step, context: StepContext): Promise<void> {
  if (isEntryStep(step)) return changeEntries([step], context, () => undefined)
  // The table pairs every kind with its own executor, which the type of a look-up by a union cannot say.
  const execute = EXECUTORS[step.kind] as Execute<typeof step.kind>
  await execute(step as never, context)
}

function failed(steps: readonly Step[], done: number, cause: unknown, { spares }: StepContext): HostlerError {
  const step = steps[done]
  const name = step === undefined ? '' : ` (${describeStep(step, spares)})`
  return new HostlerError(
    'HAPROXY_STEP_FAILED',
    `Step ${done + 1} of ${steps.length}${name} failed: ${messageOf(cause)}`,
    { cause },
  )
}

function replaced(path: string, done: number): HostlerError {
  return new HostlerError(
    'HAPROXY_WORKER_REPLACED',
    `Another HAProxy worker answers at ${path} than the one ${done === 0 ? 'that these changes were planned for' : 'that was changed'}: somebody reloaded. Its state has to be read again.`,
  )
}
