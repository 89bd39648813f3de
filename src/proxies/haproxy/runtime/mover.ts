import { existsSync } from 'node:fs'
import type { Clock } from '../../../lib/clock.js'
import { messageOf } from '../../../lib/errors.js'
import type { Logger } from '../../../lib/logger.js'
import { createExecutor, nameOf } from './executor.js'
import type { FileRoles } from './image.js'
import { createChangePlanner } from './planner.js'
import { mapsInUse } from './planner-maps.js'
import { createRuntimeSocket } from './socket.js'
import { NOTHING_SINCE_LOAD, type SpareState, shouldRefill } from './spares.js'
import { readRunning } from './state.js'
import type { ChangePlan, ConfigImage } from './types.js'

/**
 * Moves the running HAProxy to what the files say by its runtime API, wherever that gives the same result as loading
 * them. The files stay the truth: what HAProxy has is asked each time, and whatever cannot be told for certain is a reason
 * to reload.
 */
export interface Mover {
  /** HAProxy has just loaded these files; `worker` is the process that did, where that is known. */
  loaded(image: ConfigImage, worker: number | undefined): void
  /** What `move` would do. */
  plan(image: ConfigImage, roles: FileRoles, signal: AbortSignal): Promise<MovePlan>
  /** @returns how many steps were done; or why HAProxy has to load the files instead; or why nobody can tell */
  move(image: ConfigImage, roles: FileRoles, signal: AbortSignal): Promise<Moved>
  /** Whether to reload only to have all spare backends again. */
  wantsRefill(): boolean
  describe(): Record<string, string | number | boolean>
}

export type Moved = { readonly steps: number } | { readonly reload: string } | { readonly unavailable: string }

/** A plan, or why there can be none: HAProxy's runtime API is not there or does not answer. */
export type MovePlan = ChangePlan | { readonly unavailable: string }

export interface MoverInputs {
  /** Path of the stats socket. */
  readonly socket: string
  /** How many spare backends a load makes. */
  readonly spares: number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly log: Logger
  /** Ends what goes on in the background. */
  readonly signal: AbortSignal
}

/** How long nothing must have changed before HAProxy is reloaded only for its spares. */
const QUIET_MS = 60_000

export function createMover(inputs: MoverInputs): Mover {
  const { clock, log } = inputs
  const socket = createRuntimeSocket(inputs.socket)
  const executor = createExecutor({ socket, clock, log, signal: inputs.signal })
  const planChange = createChangePlanner({ env: inputs.env })
  let base: { image: ConfigImage; worker: number | undefined } | undefined
  let spares: SpareState = NOTHING_SINCE_LOAD
  let lastChange = clock.elapsed()
  let toldAbsence = false

  /** Why nothing can be changed at run time at all. */
  function obstacle(): string | undefined {
    if (base === undefined) return 'what HAProxy has loaded is not known'
    if (existsSync(inputs.socket)) return undefined
    if (!toldAbsence)
      log.warn({ socket: inputs.socket }, 'HAProxy has no stats socket here, so every change is a reload')
    toldAbsence = true
    return `there is no stats socket at ${inputs.socket}`
  }

  async function prepare(image: ConfigImage, roles: FileRoles, signal: AbortSignal): Promise<Prepared> {
    const problem = obstacle()
    if (problem !== undefined || base === undefined) return { plan: { unavailable: problem ?? '' } }
    const known = base
    try {
      const running = await readRunning(socket, { maps: mapsInUse(known.image, roles, inputs.env), clock }, signal)
      base = { image: known.image, worker: known.worker ?? running.pid }
      if (running.pid !== base.worker) return { plan: { reload: 'somebody else has reloaded HAProxy' } }
      const leaving = new Set(executor.describe().map(({ backend, server }) => `${backend}/${server ?? ''}`))
      const files = { loaded: known.image, wanted: image, running, files: roles, spares, leaving }
      return { ...planChange(files), pid: running.pid }
    } catch (error) {
      signal.throwIfAborted()
      return { plan: { unavailable: messageOf(error) } }
    }
  }

  async function move(image: ConfigImage, roles: FileRoles, signal: AbortSignal): Promise<Moved> {
    const { plan, spares: next = spares, pid } = await prepare(image, roles, signal)
    if (!('steps' in plan)) return plan
    try {
      await executor.run(plan.steps, signal, pid === undefined ? {} : { pid })
    } catch (error) {
      signal.throwIfAborted()
      return { reload: messageOf(error) }
    }
    spares = next
    if (plan.steps.length > 0) lastChange = clock.elapsed()
    for (const step of plan.steps) log.debug({ step: nameOf(step) }, 'haproxy was changed')
    return { steps: plan.steps.length }
  }

  return {
    loaded(image, worker) {
      base = { image, worker }
      spares = NOTHING_SINCE_LOAD
      lastChange = clock.elapsed()
    },
    plan: async (image, roles, signal) => (await prepare(image, roles, signal)).plan,
    move,
    wantsRefill: () => shouldRefill(spares, clock.elapsed(), lastChange, { pool: inputs.spares, quietMs: QUIET_MS }),
    describe: () => ({ spares: inputs.spares, 'spares in use': spares.used.size, leaving: executor.describe().length }),
  }
}

interface Prepared {
  readonly plan: MovePlan
  readonly spares?: SpareState
  /** The worker that it was made for. */
  readonly pid?: number
}
