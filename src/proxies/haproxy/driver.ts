import { readFile } from 'node:fs/promises'
import type { Clock } from '../../lib/clock.js'
import type { Logger } from '../../lib/logger.js'
import { linkedSignal } from '../../lib/signals.js'
import { createTurns } from '../../lib/turns.js'
import { type Applied, LoadRefused, type Preview } from '../proxy.js'
import type { Checker, CheckVerdict } from './checker.js'
import { culpritsOf, parseMessages, summarise } from './checker-messages.js'
import { createFingerprint, type Replacement } from './fingerprint.js'
import type { ReloadResult } from './master-socket.js'
import type { Mover } from './runtime/mover.js'
import { type LoadedFiles, readImage, textOnDisk } from './runtime/read-image.js'

/** Makes the running HAProxy load its files, whichever way leads to it. */
export interface Loader {
  /** Before the first load: throws when HAProxy cannot be had here at all, or its ports are somebody else's. */
  prepare(signal: AbortSignal): Promise<void>
  /** Whether it runs with what it loaded last, as far as can be told. */
  isUp(): boolean
  /** Starts it where that is ours to do and it does not run, else reloads it. */
  load(signal: AbortSignal): Promise<ReloadResult & { readonly how: 'start' | 'reload' }>
  /**
   * The process that takes new connections, or is about to because somebody reloads now; absent where nobody can be asked,
   * undefined when there is none.
   */
  serving?(signal: AbortSignal): Promise<number | undefined>
  stop(): Promise<void>
  describe(): Record<string, string | number | boolean>
}

/** Keeps HAProxy on what lies on disk, whoever changed it. */
export interface Driver {
  /**
   * Starts or reloads HAProxy when the files differ from what it loaded; checks them first. One call at a time.
   * @throws LoadRefused when the files do not pass or the reload fails: HAProxy then serves what it had.
   */
  apply(signal: AbortSignal, newer: AbortSignal): Promise<Applied>
  /** Asks HAProxy about files of which some are staged. Once those are in place they need no second check. */
  check(
    files: LoadedFiles,
    staged: ReadonlyMap<string, string>,
    scratch: string,
    signal: AbortSignal,
  ): Promise<CheckVerdict>
  /**
   * What `apply` would do if these texts were in place (path → content; every other file as it lies on disk). Comes after an
   * `apply` that is under way, unless that waits for its turn to reload. Whether HAProxy would take the texts is not asked.
   */
  preview(files: LoadedFiles, texts: ReadonlyMap<string, string>, signal: AbortSignal): Promise<Omit<Preview, 'files'>>
  /** Ends what goes on in the background. */
  stop(): Promise<void>
}

export interface DriverInputs {
  readonly files: () => LoadedFiles
  readonly checker: Checker
  readonly loader: Loader
  /** Changes without a reload; absent where they are switched off. */
  readonly mover?: Mover | undefined
  /** The least time between two reloads, in milliseconds. */
  readonly spacingMs: number
  /** A folder for the checker's copies. */
  readonly scratch: string
  readonly clock: Clock
  readonly log: Logger
}

export function createDriver(inputs: DriverInputs): Driver {
  const { loader, clock, mover } = inputs
  const life = new AbortController()
  const fingerprint = createFingerprint()
  let loaded: string | undefined
  let accepted: string | undefined
  /** The files of the last set that was published; undefined before there was one. */
  let onDisk: LoadedFiles | undefined
  /** What HAProxy runs with by single steps but would not load. */
  let defect: { identity: string; error: LoadRefused } | undefined
  let verifying: Promise<void> | undefined
  let lastMove = 0
  const said = new Set<string>()
  let lastReload = Number.NEGATIVE_INFINITY
  const turns = createTurns()

  const identify = ({ configs, others }: LoadedFiles, replaced: (path: string) => string | Replacement = inPlace) =>
    fingerprint.of([...configs, ...others].map(replaced))

  async function check(files: LoadedFiles, staged: ReadonlyMap<string, string>, scratch: string, signal: AbortSignal) {
    if (await canMove(files, staged, signal)) return { ok: true, warnings: [] } as const
    return checkWhole(files, staged, scratch, signal)
  }

  /**
   * Where HAProxy can be moved step by step, it judges each step itself, and the files are checked afterwards: a whole
   * check takes 22 ms at the least, and 250 ms at 5,000 backends.
   */
  async function canMove(
    files: LoadedFiles,
    staged: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (mover === undefined || !loader.isUp() || defect !== undefined) return false
    const { image, roles } = await readImage(files, (path) => textOnDisk(staged.get(path) ?? path))
    return 'steps' in (await mover.plan({ image, roles, onDisk }, signal))
  }

  async function checkWhole(
    files: LoadedFiles,
    staged: ReadonlyMap<string, string>,
    scratch: string,
    signal: AbortSignal,
  ) {
    const identity = await identify(files, stagedIn(staged))
    const verdict = await inputs.checker.check(checkedFiles(files, staged), scratch, signal)
    if (verdict.ok) {
      accepted = identity
      for (const warning of verdict.warnings) warn(warning)
    }
    return verdict
  }

  /** @returns whether the turn has come; false when something newer came first */
  async function turnToReload(signal: AbortSignal, newer: AbortSignal): Promise<boolean> {
    const turn = linkedSignal([signal, newer], (either) => clock.sleep(msToReload(), either))
    await turn.catch(() => signal.throwIfAborted())
    return !newer.aborted
  }

  const msToReload = () => Math.max(0, lastReload + inputs.spacingMs - clock.elapsed())

  /** `not yet`: it has to be a reload, and another one was not long ago. */
  async function applyNow(signal: AbortSignal): Promise<Applied | 'not yet'> {
    const files = inputs.files()
    onDisk = files
    const wanted = await identify(files)
    if (defect?.identity === wanted) throw defect.error
    defect = undefined
    const moved = loader.isUp() ? await move(files, wanted, signal) : undefined
    if (moved !== undefined && 'how' in moved) return moved
    if (wanted !== accepted) await checkOnDisk(files, signal)
    if (msToReload() > 0) return 'not yet'
    const { image } = await readImage(files)
    const { ok, ms, log, how, workerPid } = await loader.load(signal)
    // A start is no reload: what follows it at once, the first round on an earlier run's files, need not wait.
    if (how === 'reload') lastReload = clock.elapsed()
    if (!ok) throw await refusal(files, log)
    loaded = wanted
    mover?.loaded(image, workerPid)
    return { how, ms, ...(moved && { why: moved.why }) }
  }

  /** By the runtime API where that gives the same result; else why not. */
  async function move(
    files: LoadedFiles,
    wanted: string,
    signal: AbortSignal,
  ): Promise<Applied | { why: string } | undefined> {
    if (mover === undefined) return wanted === loaded ? NOTHING : undefined
    const began = clock.elapsed()
    const { image, roles } = await readImage(files)
    const moved = await mover.move({ image, roles, onDisk: files }, signal)
    if ('unavailable' in moved) return wanted === loaded ? NOTHING : { why: moved.unavailable }
    if ('reload' in moved) return { why: moved.reload }
    loaded = wanted
    if (wanted !== accepted) verifySoon()
    if (moved.steps.count === 0 && mover.wantsRefill()) return { why: REFILL }
    return moved.steps.count === 0 ? NOTHING : { how: 'runtime', ms: clock.elapsed() - began, steps: moved.steps }
  }

  /** Follows `applyNow` and `move`, and does nothing. */
  async function previewNow(files: LoadedFiles, texts: ReadonlyMap<string, string>, signal: AbortSignal) {
    const wanted = await identify(files, heldBy(texts))
    if (defect?.identity === wanted) return { how: 'blocked', why: defect.error.message } as const
    if (!loader.isUp()) return { how: 'start' } as const
    const reload = (why: string) => {
      const waitMs = msToReload()
      return { how: 'reload', why, ...(waitMs > 0 && { waitMs }) } as const
    }
    const ifOther = (why: string) => (wanted === loaded ? ({ how: 'nothing' } as const) : reload(why))
    if (mover === undefined) return ifOther('changes at run time are switched off (setting haproxy.runtime)')
    const { image, roles } = await readImage(files, async (path) => texts.get(path) ?? textOnDisk(path))
    const found = await mover.preview({ image, roles, onDisk }, signal)
    if ('unavailable' in found) return ifOther(found.unavailable)
    if ('reload' in found) return reload(found.reload)
    if (found.steps.length > 0) return { how: 'runtime', steps: found.steps } as const
    return mover.wantsRefill() ? reload(REFILL) : ({ how: 'nothing' } as const)
  }

  /** HAProxy must also be able to load what it was moved to; looked at when things have calmed down. */
  function verifySoon(): void {
    lastMove = clock.elapsed()
    verifying ??= verify(life.signal)
      .catch((err) => {
        if (!life.signal.aborted)
          inputs.log.warn({ err }, 'the files could not be checked; the next change tries again')
      })
      .finally(() => {
        verifying = undefined
      })
  }

  async function verify(signal: AbortSignal): Promise<void> {
    const began = clock.elapsed()
    do await clock.sleep(CALM_MS, signal)
    while (clock.elapsed() - lastMove < CALM_MS && clock.elapsed() - began < PATIENCE_MS)
    const files = inputs.files()
    const identity = await identify(files)
    const verdict = await checkWhole(files, NOTHING_STAGED, inputs.scratch, signal)
    if (verdict.ok) return
    const error = new LoadRefused(
      `HAProxy could not load the files that it was moved to: ${verdict.message}`,
      verdict.culprits,
    )
    defect = { identity, error }
    inputs.log.error(
      { err: error },
      'a file is not as HAProxy would load it; its backend is left out with the next pass',
    )
  }

  async function checkOnDisk(files: LoadedFiles, signal: AbortSignal): Promise<void> {
    const verdict = await checkWhole(files, NOTHING_STAGED, inputs.scratch, signal)
    if (verdict.ok) return
    throw new LoadRefused(
      `HAProxy refuses the files on disk and keeps what it has: ${verdict.message}`,
      verdict.culprits,
    )
  }

  async function refusal({ configs }: LoadedFiles, log = 'it gave no reason'): Promise<LoadRefused> {
    const texts = await Promise.all(configs.map(async (path) => ({ path, text: await readFile(path, 'utf8') })))
    const messages = parseMessages(log, texts)
    const reason = summarise(messages) || log.trim().split('\n').at(-1)
    return new LoadRefused(
      `HAProxy did not load the new configuration and serves the old one: ${reason}`,
      culpritsOf(messages, texts),
    )
  }

  /** For whoever asks what HAProxy does: a worker that came by itself, old ones that long connections keep. */
  async function look(signal: AbortSignal): Promise<void> {
    if (loader.isUp()) await loader.serving?.(signal).catch(() => signal.throwIfAborted())
  }

  /** A warning comes with every check; it is said once. */
  function warn(warning: string): void {
    if (said.has(warning)) return
    said.add(warning)
    inputs.log.warn({ warning }, 'haproxy warns of its configuration')
  }

  return {
    check,
    async apply(signal, newer) {
      for (;;) {
        const outcome = await turns.take(() => applyNow(signal))
        // After steps the mover has asked already.
        if (outcome === 'not yet' || outcome.how !== 'runtime') await look(signal)
        if (outcome !== 'not yet') return outcome
        // Not within the turn: whoever asks what is to come shall not wait with it. What has changed meanwhile is seen after it.
        if (!(await turnToReload(signal, newer))) return { how: 'later', ms: 0 }
      }
    },
    preview: (files, texts, signal) => turns.take(() => previewNow(files, texts, signal)),
    async stop() {
      life.abort()
      await verifying
    },
  }
}

const NOTHING: Applied = { how: 'nothing', ms: 0 }
/** Nothing must have changed for this long before the files are checked, but they wait no longer than that. */
const CALM_MS = 2000
const PATIENCE_MS = 30_000

const NOTHING_STAGED: ReadonlyMap<string, string> = new Map()

const REFILL = 'a quiet moment to have all spare backends again'

const inPlace = (path: string) => path

const stagedIn = (staged: ReadonlyMap<string, string>) => (path: string) => {
  const readPath = staged.get(path)
  return readPath === undefined ? path : { path, readPath }
}

const heldBy = (texts: ReadonlyMap<string, string>) => (path: string) => {
  const content = texts.get(path)
  return content === undefined ? path : { path, content }
}

function checkedFiles({ configs, others }: LoadedFiles, staged: ReadonlyMap<string, string>) {
  const checked = (load: boolean) => (path: string) => ({ path, readPath: staged.get(path) ?? path, load })
  return [...configs.map(checked(true)), ...others.map(checked(false))]
}
