import { existsSync } from 'node:fs'
import type { Clock } from '../../../lib/clock.js'
import { codeOf, HostlerError, messageOf } from '../../../lib/errors.js'
import type { Excerpt } from '../../../lib/excerpt.js'
import type { Logger } from '../../../lib/logger.js'
import type { PlannedStep } from '../../proxy.js'
import { isSupported } from '../supervisor-version.js'
import { createExecutor } from './executor.js'
import { createForesight } from './foresight.js'
import type { FileRoles } from './image.js'
import { type Asked, createKnownState } from './known-state.js'
import { createMapLeftovers } from './map-leftovers.js'
import { createChangePlanner } from './planner.js'
import { actionOf, describeStep } from './planner-steps.js'
import { createQuestions } from './questions.js'
import type { LoadedFiles } from './read-image.js'
import { recognise } from './recognise.js'
import { createRuntimeSocket } from './socket.js'
import { NOTHING_SINCE_LOAD, type SpareState, shouldRefill, spareOwners } from './spares.js'
import { readRunning, readWorker } from './state.js'
import type { WorkerIdentity } from './state-dumps.js'
import { type ChangePlan, type ConfigImage, isSameWorker, type Running, type Step, type WorkerKey } from './types.js'

/**
 * Moves the running HAProxy to what the files say by its runtime API, wherever that gives the same result as loading
 * them. The files stay the truth: what HAProxy has is asked each time, and whatever cannot be told for certain is a reason
 * to reload.
 */
export interface Mover {
  /** HAProxy has just loaded these files; `worker` is the process that did, where that is known. */
  loaded(image: ConfigImage, worker: number | undefined): void
  /** What `move` would do; a `move` to the same files that follows at once does just that. */
  plan(target: Target, signal: AbortSignal): Promise<MovePlan>
  /** The same in words, which speak of the files' backends where spares serve them. */
  preview(target: Target, signal: AbortSignal): Promise<MovePreview>
  /** @returns what was done; or why HAProxy has to load the files instead; or why nobody can tell */
  move(target: Target, signal: AbortSignal): Promise<Moved>
  /** Whether to reload only to have all spare backends again. */
  wantsRefill(): boolean
  /** What the spares of a worker serve now: spare → backend in the files. Undefined: it is not the worker that is moved. */
  sparesOf(worker: WorkerKey): ReadonlyMap<string, string> | undefined
  describe(): Record<string, string | number | boolean>
}

/** Where to move. */
export interface Target {
  readonly image: ConfigImage
  readonly roles: FileRoles
  /** The files that lie on disk now: those of the image, or of the one before when it is only staged. */
  readonly onDisk: LoadedFiles | undefined
}

export type Moved = { readonly steps: Excerpt } | Refusal

export type MovePreview = { readonly steps: readonly PlannedStep[] } | Refusal

/** A plan, or why there can be none: HAProxy's runtime API is not there or does not answer. */
export type MovePlan = ChangePlan | { readonly unavailable: string }

export interface MoverInputs {
  /** Path of the stats socket. */
  readonly socket: string
  /**
   * The process that serves, or is about to because somebody reloads now, as HAProxy's master tells it; absent where no
   * master can be asked. The stats socket alone does not tell of a reload before it is over.
   */
  readonly serving?: ((signal: AbortSignal) => Promise<number | undefined>) | undefined
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

/** So many steps of a move are told. */
const TOLD_STEPS = 10

/** How long after it was made a plan for staged files may be carried out. */
const FORESIGHT_MS = 1000
/** For how long changes go by what HAProxy was last seen to have; as long as passes are apart. */
const KNOWN_MS = 10_000

const REPLACED = 'somebody else has reloaded HAProxy'
/** How often a change is made again that a reload took away. */
const MAX_TRIES = 3
/** How long a worker that the master tells of may take until it serves. */
const [ARRIVAL_TRIES, ARRIVAL_RETRY_MS] = [200, 10]

export function createMover(inputs: MoverInputs): Mover {
  const { clock, log } = inputs
  const socket = createRuntimeSocket(inputs.socket)
  const executor = createExecutor({ socket, clock, log, signal: inputs.signal })
  const questionsFor = createQuestions(inputs.env)
  const planChange = createChangePlanner({ env: inputs.env })
  const knownState = createKnownState(clock, KNOWN_MS)
  const leftovers = createMapLeftovers({
    socket,
    replace: (map, entries, signal) => {
      const steps = [{ kind: 'replace-map', map, entries }] as const
      knownState.touch(steps)
      return executor.run(steps, signal)
    },
    clock,
    log,
  })
  const foresight = createForesight<Prepared>(clock, FORESIGHT_MS)
  /** What the worker has loaded. Of one that was just loaded only the process may be known, or nothing. */
  let base: { readonly image: ConfigImage; readonly worker: WorkerKey | undefined } | undefined
  let spares: SpareState = NOTHING_SINCE_LOAD
  let lastChange = clock.elapsed()
  let toldAbsence = false
  /** Why HAProxy could not be asked last time: the code of the error. */
  let trouble: string | undefined

  /** Why nothing can be changed at run time at all. */
  function obstacle(): string | undefined {
    if (existsSync(inputs.socket)) return undefined
    if (!toldAbsence)
      log.warn({ socket: inputs.socket }, 'HAProxy has no stats socket here, so every change is a reload')
    toldAbsence = true
    return `there is no stats socket at ${inputs.socket}`
  }

  async function prepare(
    target: Target,
    signal: AbortSignal,
    asked: Asked = 'everything',
  ): Promise<Prepared | Refusal> {
    const problem = obstacle()
    if (problem !== undefined) return { unavailable: problem }
    try {
      const prepared = await compare(target, signal, asked)
      if (trouble !== undefined) log.info('what HAProxy has can be compared again')
      trouble = undefined
      return prepared
    } catch (error) {
      signal.throwIfAborted()
      const reason = messageOf(error)
      if (trouble !== codeOf(error)) log.warn({ reason }, 'what HAProxy has cannot be compared with the files')
      trouble = codeOf(error)
      return { unavailable: reason }
    }
  }

  /** Anew with the worker that took over while the one before was asked. */
  async function compare(target: Target, signal: AbortSignal, asked: Asked): Promise<Prepared | Refusal> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const compared = await compareOnce(target, signal, asked)
      if (compared !== 'lost') return compared
    }
    return { reload: REPLACED }
  }

  async function compareOnce({ image, roles, onDisk }: Target, signal: AbortSignal, asked: Asked) {
    const worker = await readWorker(socket, signal)
    if (!isSupported(worker.version)) throw tooOld(worker)
    const known = await loadedBy(worker, onDisk)
    if ('reload' in known) return known
    const recalled = asked === 'everything' ? undefined : knownState.recall()
    const idling = executor.describe().map(({ backend }) => backend)
    const questions = { ...questionsFor(known.image, roles), known: recalled, clock }
    const running = await readRunning(socket, questions, signal)
    if (!isSameWorker(running, worker)) return 'lost' as const
    knownState.learn(running, recalled ? 'what was touched' : 'everything', idling)
    const files = { loaded: known.image, wanted: image, running, files: roles, spares }
    const change = planChange({ ...files, leaving: new Set(leaving()) })
    if ('reload' in change.plan) return change.plan
    return { steps: change.plan.steps, spares: change.spares, worker, running }
  }

  const leaving = () => executor.describe().map(({ backend, server }) => `${backend}/${server ?? ''}`)

  /** What a plan is made from, beside the files and what HAProxy says. */
  const ground = () => [base?.image, spares, leaving().join('\n')]

  async function plan(target: Target, signal: AbortSignal): Promise<MovePlan> {
    const prepared = await prepare(target, signal, 'what was touched')
    if ('steps' in prepared && prepared.steps.length > 0) foresight.keep(target.image, ground(), prepared)
    return prepared
  }

  /** Another worker than the one that was loaded by us may all the same have read what we know. */
  async function loadedBy(
    worker: WorkerKey,
    onDisk: LoadedFiles | undefined,
  ): Promise<{ image: ConfigImage } | { reload: string }> {
    if (base !== undefined && isSameWorker(base.worker ?? worker, worker)) {
      base = { image: base.image, worker }
      return base
    }
    const image = onDisk && (await recognise(worker, onDisk))
    if (image === undefined) {
      return { reload: base === undefined ? 'what HAProxy has loaded is not known' : REPLACED }
    }
    log.info({ worker: worker.pid }, 'this HAProxy has loaded the files as they are, so it needs no reload')
    loaded(image, worker)
    return { image }
  }

  function loaded(image: ConfigImage, worker: WorkerKey | undefined): void {
    base = { image, worker }
    knownState.forget()
    spares = NOTHING_SINCE_LOAD
    lastChange = clock.elapsed()
  }

  /** Does it, and makes it again where a reload by somebody else took it away. */
  async function move(target: Target, signal: AbortSignal): Promise<Moved> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const prepared = foresight.take(target.image, ground()) ?? (await prepare(target, signal))
      if (!('steps' in prepared)) return prepared
      const { steps } = prepared
      const outcome = await perform(prepared, signal)
      if (steps.length === 0) await leftovers.sweep(prepared.running, signal).catch(() => signal.throwIfAborted())
      if (outcome === 'lost') continue
      if (outcome !== 'done') return outcome
      const names = namesFor(prepared)
      const first = steps.slice(0, TOLD_STEPS).map((step) => describeStep(step, names))
      spares = prepared.spares
      if (steps.length > 0) lastChange = clock.elapsed()
      if (steps.length > 0) log.debug({ steps: steps.length, first }, 'haproxy was changed')
      return { steps: { count: steps.length, first } }
    }
    return { reload: REPLACED }
  }

  /** A spare that changes hands is called as it will be. */
  const namesFor = (prepared: Prepared) => ({ used: new Map([...prepared.spares.used, ...spares.used]) })

  async function preview(target: Target, signal: AbortSignal): Promise<MovePreview> {
    const prepared = await prepare(target, signal)
    if (!('steps' in prepared)) return prepared
    const names = namesFor(prepared)
    return { steps: prepared.steps.map((step) => ({ action: actionOf(step), text: describeStep(step, names) })) }
  }

  async function perform(prepared: Prepared, signal: AbortSignal): Promise<'done' | 'lost' | Refusal> {
    const { steps, worker } = prepared
    if (steps.length === 0) return 'done'
    knownState.touch(steps)
    try {
      await executor.run(steps, signal, { worker, spares: namesFor(prepared) })
      if (await isReplaced(worker, signal)) return 'lost'
      knownState.done(steps)
      return 'done'
    } catch (error) {
      signal.throwIfAborted()
      if (codeOf(error) === 'HAPROXY_WORKER_REPLACED') return 'lost'
      return { reload: messageOf(error) }
    }
  }

  /**
   * A worker that is being started may have read the files before they were published, and would take the place of the one
   * that was changed. One that is started later reads them as they are. Returns once it is clear which one serves.
   */
  async function isReplaced(worker: WorkerKey, signal: AbortSignal): Promise<boolean> {
    if (inputs.serving === undefined) return false
    for (let tries = 0; tries < ARRIVAL_TRIES; tries++) {
      if ((await inputs.serving(signal)) === worker.pid) return false
      if (!isSameWorker(await readWorker(socket, signal), worker)) return true
      await clock.sleep(ARRIVAL_RETRY_MS, signal)
    }
    return true
  }

  return {
    loaded: (image, pid) => loaded(image, pid === undefined ? undefined : { pid }),
    plan,
    preview,
    move,
    wantsRefill: () => shouldRefill(spares, clock.elapsed(), lastChange, { pool: inputs.spares, quietMs: QUIET_MS }),
    sparesOf: (worker) => (base && isSameWorker(base.worker ?? worker, worker) ? spareOwners(spares) : undefined),
    describe: () => ({ spares: inputs.spares, 'spares in use': spares.used.size, leaving: executor.describe().length }),
  }
}

function tooOld({ version: { major, minor } }: WorkerIdentity): HostlerError {
  return new HostlerError(
    'HAPROXY_TOO_OLD',
    `The HAProxy that answers is ${major}.${minor}; Hostler needs 2.6 or later, and changes nothing in an older one while it runs.`,
  )
}

type Refusal = { readonly reload: string } | { readonly unavailable: string }

interface Prepared {
  readonly steps: readonly Step[]
  readonly spares: SpareState
  /** The one that they were planned for. */
  readonly worker: WorkerKey
  readonly running: Running
}
