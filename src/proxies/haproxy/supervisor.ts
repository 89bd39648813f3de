import { rm } from 'node:fs/promises'
import { type Backoff, createBackoff } from '../../lib/backoff.js'
import { type Clock, systemClock } from '../../lib/clock.js'
import { codeOf, HostlerError } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'
import { linkedSignal } from '../../lib/signals.js'
import { createTurns } from '../../lib/turns.js'
import { createMasterSocket, type MasterSocket, type ReloadResult } from './master-socket.js'
import { servingWorker } from './master-socket-processes.js'
import { endProcess } from './supervisor-end.js'
import { launchHaproxy, OUTPUT_LAG_MS } from './supervisor-launch.js'
import { assertPortsFree, findLeftover, type Leftover, type Port } from './supervisor-leftover.js'
import { createOutput, type HaproxyOutput } from './supervisor-output.js'
import { adoptProcess, type HaproxyProcess } from './supervisor-process.js'

/**
 * Runs HAProxy in master-worker mode and keeps it running.
 *
 * INVARIANTS
 * - At most one `current` process. Starts, reloads, restarts and revivals take turns; nothing else assigns `current`.
 * - Whoever dies without being `current` (a process that was replaced) is nobody's concern.
 * - After `stop()` nothing is started until `start()` is called again.
 * - While `current` dies by itself it is revived with growing pauses; an explicit `reload()` does not wait for the pause.
 * - No process is joined at its port: a leftover is adopted or replaced, a stranger's port is refused.
 *
 * Measured on 2.6.12 and 3.0.11: a worker that dies takes its master with it (exit code 137 for kill -9); a master that is
 * killed takes its workers with it within milliseconds and leaves the socket file behind; SIGUSR1 to the master waits for
 * open connections, SIGTERM does not; a second HAProxy on the same socket path takes the path over silently.
 */
export interface Supervisor {
  /**
   * Resolves when a worker serves. Takes over a HAProxy that an earlier Hostler left behind. Throws HAPROXY_START_FAILED,
   * HAPROXY_MISSING, HAPROXY_LEFTOVER, HAPROXY_PORT_TAKEN.
   */
  start(signal: AbortSignal): Promise<StartResult>
  /**
   * Looks after a HAProxy that an earlier Hostler left behind and that runs as we would start it; it is not reloaded.
   * @returns whether there is one. Throws HAPROXY_LEFTOVER.
   */
  adopt(signal: AbortSignal): Promise<boolean>
  /** Makes it load its files anew, whatever that takes: a reload, a start when it is down, a restart when arguments changed. */
  reload(signal: AbortSignal): Promise<ReloadResult>
  /** Starts a second HAProxy beside the first, then lets the first finish its connections. New connections never fail. */
  restart(signal: AbortSignal): Promise<ReloadResult>
  /** Soft stop, then SIGTERM after `stopTimeoutMs`, then SIGKILL. Resolves when it is gone. */
  stop(): Promise<void>
  pid(): number | undefined
  running(): boolean
  /** For `hostler status`. */
  describe(): Record<string, string | number | boolean>
}

export interface StartResult {
  /** `adopted`: it ran already and was reloaded, see `reload`; `replaced`: it ran with other arguments. */
  readonly how: 'started' | 'adopted' | 'replaced'
  readonly reload: ReloadResult
}

export interface SupervisorOptions {
  readonly bin: string
  /** The `-f FILE` arguments. A running master cannot change them: a different answer makes the next reload a restart. */
  readonly args: () => readonly string[]
  /** Added to our own environment. A running master cannot change it either. */
  readonly env: () => Readonly<Record<string, string>>
  readonly masterSocket: string
  readonly startTimeoutMs?: number
  readonly reloadTimeoutMs: number
  readonly stopTimeoutMs: number
  readonly log: Logger
  /** What it will listen on, as far as that is known: must be free before a start, and before a reload that adds one. */
  readonly ports?: () => readonly Port[]
  /** `inherit` (default): HAProxy's standard output (`log stdout`) is ours, untouched; `log`: into our log. */
  readonly stdout?: 'inherit' | 'log'
  readonly onExit?: (reason: string) => void
  readonly clock?: Clock
  readonly backoff?: Backoff
}

/** A life of this length ends a row of deaths: the next pause is the shortest again. */
const SETTLED_MS = 60_000

export const createSupervisor = (options: SupervisorOptions): Supervisor => new SupervisedHaproxy(options)

class SupervisedHaproxy implements Supervisor {
  readonly #options: SupervisorOptions
  readonly #clock: Clock
  readonly #backoff: Backoff
  readonly #socket: MasterSocket
  readonly #output: HaproxyOutput
  readonly #turns = createTurns()
  readonly #retiring = new Set<Promise<void>>()
  /** From `start()` to `stop()`. */
  #life = new AbortController()
  #current: HaproxyProcess | undefined
  #workerPid: number | undefined
  #startedAt = 0
  #deaths = 0
  #reloads = 0
  /** What the running one was told to listen on; undefined when it was somebody else who told it. */
  #ports: readonly Port[] | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#backoff = options.backoff ?? createBackoff({ firstMs: 200, maxMs: 30_000 })
    this.#socket = createMasterSocket(options.masterSocket, { timeoutMs: options.reloadTimeoutMs, clock: this.#clock })
    this.#output = createOutput(options.log)
  }

  start(signal: AbortSignal): Promise<StartResult> {
    if (this.#life.signal.aborted) this.#life = new AbortController()
    return this.#inTurn(signal, (linked) => this.#startNow(linked))
  }

  adopt(signal: AbortSignal): Promise<boolean> {
    return this.#inTurn(signal, async (linked) => {
      const leftover = this.#current === undefined ? await this.#leftover(linked) : undefined
      if (leftover?.remedy === 'adopt') this.#takeOver(leftover, servingWorker(await this.#socket.settled(linked))?.pid)
      return this.#current !== undefined
    })
  }

  reload(signal: AbortSignal): Promise<ReloadResult> {
    return this.#inTurn(signal, async (linked) => {
      if (this.#current === undefined) return (await this.#startNow(linked)).reload
      return this.#hasOldArguments(this.#current) ? this.#replace(linked) : this.#reloadCurrent(linked)
    })
  }

  restart(signal: AbortSignal): Promise<ReloadResult> {
    return this.#inTurn(signal, (linked) => this.#replace(linked))
  }

  async stop(): Promise<void> {
    this.#life.abort(new HostlerError('HAPROXY_STOPPING', 'HAProxy is being stopped.'))
    await this.#turns.take(async () => {
      if (this.#current === undefined) return
      await this.#end(this.#current)
      this.#current = undefined
      // HAProxy leaves it behind, and the next start would wait to see whether anybody is behind it.
      await rm(this.#options.masterSocket, { force: true })
    })
    await Promise.all(this.#retiring)
  }

  pid(): number | undefined {
    return this.#current?.pid
  }

  running(): boolean {
    return this.#current !== undefined
  }

  describe(): Record<string, string | number | boolean> {
    const current = this.#current
    return {
      running: current !== undefined,
      ...(current !== undefined && { pid: current.pid, adopted: current.adopted }),
      ...(current !== undefined && this.#workerPid !== undefined && { worker: this.#workerPid }),
      reloads: this.#reloads,
      deaths: this.#deaths,
    }
  }

  /** One at a time, and ended by `stop()` as well as by the caller. */
  #inTurn<T>(signal: AbortSignal, job: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#turns.take(() => linkedSignal([signal, this.#life.signal], job))
  }

  async #startNow(signal: AbortSignal): Promise<StartResult> {
    if (this.#current !== undefined) return { how: 'started', reload: await this.#reloadCurrent(signal) }
    const leftover = await this.#leftover(signal)
    if (leftover === undefined) {
      await assertPortsFree(this.#wantedPorts(), this.#clock, signal)
      return { how: 'started', reload: await this.#launch(signal) }
    }
    this.#takeOver(leftover)
    if (leftover.remedy === 'adopt') return { how: 'adopted', reload: await this.#reloadCurrent(signal) }
    return { how: 'replaced', reload: await this.#replace(signal) }
  }

  #leftover(signal: AbortSignal): Promise<Leftover | undefined> {
    const wanted = { args: this.#arguments(), env: this.#options.env(), clock: this.#clock }
    return findLeftover(this.#socket, wanted, signal)
  }

  #takeOver({ pid, remedy }: Leftover, workerPid?: number): void {
    this.#options.log.warn({ pid, remedy }, 'found a HAProxy that an earlier run left behind; taking it over')
    this.#ports = undefined
    this.#follow(adoptProcess(pid, remedy === 'adopt' ? this.#arguments() : [], this.#clock), workerPid)
  }

  async #launch(signal: AbortSignal): Promise<ReloadResult> {
    const { bin, env, stdout = 'inherit', startTimeoutMs = 15_000, log } = this.#options
    const started = this.#clock.elapsed()
    const { process, workerPid } = await launchHaproxy(
      {
        bin,
        args: this.#arguments(),
        env: env(),
        stdout,
        output: this.#output,
        socket: this.#socket,
        previous: this.#current?.pid,
        timeoutMs: startTimeoutMs,
        clock: this.#clock,
      },
      signal,
    )
    this.#follow(process, workerPid)
    this.#ports = this.#wantedPorts()
    const ms = Math.round(this.#clock.elapsed() - started)
    log.info({ pid: process.pid, worker: workerPid, ms }, 'HAProxy serves')
    return { ok: true, ms, workerPid }
  }

  async #replace(signal: AbortSignal): Promise<ReloadResult> {
    const old = this.#current
    const result = await this.#launch(signal)
    if (old !== undefined) {
      const retired = this.#end(old).finally(() => this.#retiring.delete(retired))
      this.#retiring.add(retired)
    }
    return result
  }

  async #reloadCurrent(signal: AbortSignal): Promise<ReloadResult> {
    const mark = this.#output.mark()
    await assertPortsFree(this.#newPorts(), this.#clock, signal)
    try {
      const result = await this.#whileAlive(signal, (linked) => this.#socket.reload(linked))
      this.#reloads += 1
      this.#workerPid = result.workerPid
      if (result.ok) this.#ports = this.#wantedPorts()
      if (result.ok || result.log !== undefined) return result
      await this.#clock.sleep(OUTPUT_LAG_MS, signal)
      const log = this.#output.since(mark)
      return log === '' ? result : { ...result, log }
    } catch (error) {
      if (codeOf(error) !== 'HAPROXY_SOCKET_UNREACHABLE') throw error
      this.#options.log.warn({ err: error }, "HAProxy's master socket is gone; replacing HAProxy")
      return this.#replace(signal)
    }
  }

  /** A reload that waits for a HAProxy which has died meanwhile would wait for nothing. */
  #whileAlive<T>(signal: AbortSignal, job: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const gone = new AbortController()
    this.#current?.exited.then((reason) => gone.abort(diedMeanwhile(reason)))
    return linkedSignal([signal, gone.signal], job)
  }

  #follow(process: HaproxyProcess, workerPid?: number): void {
    this.#current = process
    this.#workerPid = workerPid
    this.#startedAt = this.#clock.elapsed()
    process.exited.then((reason) => this.#onGone(process, reason))
  }

  #onGone(process: HaproxyProcess, reason: string): void {
    if (process !== this.#current) return
    this.#current = undefined
    if (this.#life.signal.aborted) return
    this.#deaths += 1
    if (this.#clock.elapsed() - this.#startedAt > SETTLED_MS) this.#backoff.reset()
    this.#options.log.error({ pid: process.pid, reason }, 'HAProxy has died; starting it again')
    this.#options.onExit?.(reason)
    void this.#revive(this.#life.signal)
  }

  async #revive(life: AbortSignal): Promise<void> {
    while (!life.aborted && this.#current === undefined) {
      try {
        await this.#clock.sleep(this.#backoff.next(), life)
        await this.#inTurn(life, async (signal) => {
          if (this.#current === undefined) await this.#launch(signal)
        })
      } catch (error) {
        if (!life.aborted) this.#options.log.error({ err: error }, 'HAProxy could not be started; trying again')
      }
    }
  }

  #arguments(): readonly string[] {
    return ['-W', '-S', `${this.#options.masterSocket},mode,600`, ...this.#options.args()]
  }

  #wantedPorts(): readonly Port[] {
    return this.#options.ports?.() ?? []
  }

  /**
   * While a new HAProxy tries for 2 s to bind a port that is taken, the old one pauses: every new connection is refused,
   * on all ports (measured on 2.6.12 and 3.2.26). So ports are looked at before a reload that adds them.
   */
  #newPorts(): readonly Port[] {
    const known = this.#ports
    if (known === undefined) return []
    return this.#wantedPorts().filter(({ host, port }) => !known.some((old) => old.host === host && old.port === port))
  }

  #hasOldArguments(process: HaproxyProcess): boolean {
    return process.args.join('\0') !== this.#arguments().join('\0')
  }

  #end(process: HaproxyProcess): Promise<void> {
    const { log, stopTimeoutMs } = this.#options
    return endProcess(process, { softMs: stopTimeoutMs, log, clock: this.#clock })
  }
}

const diedMeanwhile = (reason: string) =>
  new HostlerError('HAPROXY_DIED', `HAProxy ended (${reason}) while it was told to reload; it is started again.`)
