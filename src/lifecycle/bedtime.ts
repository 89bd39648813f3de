import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import { inTime, linkedSignal } from '../lib/signals.js'
import { printable } from '../model/label-values.js'
import type { Backend } from '../model/plan.js'
import { type Runtime, RuntimeError } from '../runtimes/runtime.js'
import type { Gate } from './gate.js'
import type { GroupViews } from './group-views.js'
import type { Lookout } from './lookout.js'
import type { SleepTarget } from './who-sleeps.js'
import type { SleepReason, World } from './world.js'

export type SleepResult = 'asleep' | 'cancelled' | 'refused'

/**
 * Sessions that are open on servers which get no new ones: of each backend only those servers are named that go. What has
 * been proxied by the public port counts too. @throws when that cannot be told
 */
export type SessionCounter = (backends: readonly Backend[], signal: AbortSignal) => Promise<number>

export interface BedtimeInputs {
  readonly world: World
  readonly views: GroupViews
  readonly lookout: Lookout
  readonly gate: Pick<Gate, 'withhold' | 'release'>
  /** Resolves when every proxy has taken a plan that was made after the call. */
  readonly inForce: (signal: AbortSignal) => Promise<void>
  readonly sessions: SessionCounter
  readonly drainMs: number
  readonly removeVolumes: boolean
  readonly clock: Clock
  readonly log: Logger
}

export interface Bed {
  readonly group: string
  readonly why: SleepReason
  readonly targets: readonly SleepTarget[]
  /** They go for good, whatever comes: nobody is asked whether they are in use. */
  readonly isRemoval: boolean
  /** Whether it must stay up after all: somebody has come to need it. */
  readonly isNeeded: () => boolean
}

/** A proxy that has not taken a plan within this time is in trouble; its old routes may still lead here. */
const FORCE_MS = 60_000
const FIRST_COUNT_MS = 100
const LAST_COUNT_MS = 1000
const LOOK_MS = 1000
/** After a stop of which the engine never told whether it took it: what runs for so long has not. */
const DOUBT_MS = 30_000

/**
 * One group's way to sleep: withheld by the gate, in force in every proxy, no session left, then stopped, paused or removed,
 * each after what depends on it.
 *
 * INVARIANTS
 * - Nothing is asked to stop before no proxy leads to it any more.
 * - From then on it is withheld until the facts say that it is down, or its engine that it is not.
 * - Whatever happens, each target is released in the end.
 */
export class Bedtime {
  readonly bed: Bed
  /** Resolves when every target is released. */
  readonly done: Promise<SleepResult>
  readonly #inputs: BedtimeInputs
  readonly #turnBack = new AbortController()
  readonly #life: AbortSignal
  readonly #downs = new Map<string, Promise<void>>()
  #hasFailed = false

  constructor(bed: Bed, inputs: BedtimeInputs, life: AbortSignal) {
    this.bed = bed
    this.#inputs = inputs
    this.#life = life
    this.done = this.#run()
  }

  /** Stops nothing more, unless it is a removal. What has been asked to stop does so first. */
  turnBack(): void {
    if (!this.bed.isRemoval) this.#turnBack.abort(new Error('it is needed'))
  }

  async #run(): Promise<SleepResult> {
    const { gate } = this.#inputs
    const keys = this.bed.targets.map(({ key }) => key)
    const leaving = this.#leaving()
    gate.withhold(keys)
    try {
      const obstacle = await this.#drained(leaving)
      if (obstacle) return obstacle
      if (this.bed.isNeeded()) return 'cancelled'
      await Promise.all(keys.map((key) => this.#down(key)))
      return this.#hasFailed ? 'refused' : this.#isOff() ? 'cancelled' : 'asleep'
    } finally {
      gate.release(keys)
    }
  }

  #isOff = (): boolean => this.#turnBack.signal.aborted || this.#life.aborted

  /** The backends as they are, with the servers that go. */
  #leaving(): Backend[] {
    const names = new Set(this.bed.targets.map(({ member }) => printable(member.instance.name)))
    return this.#inputs.views.backends(this.bed.group).flatMap((backend) => {
      const servers = backend.servers.filter(({ instance }) => names.has(instance))
      return servers.length > 0 ? [{ ...backend, servers }] : []
    })
  }

  /** @returns why nothing is to be stopped */
  async #drained(leaving: readonly Backend[]): Promise<SleepResult | undefined> {
    try {
      return await linkedSignal([this.#turnBack.signal, this.#life], async (signal) => {
        if (!(await this.#isInForce(signal))) return 'refused'
        return leaving.length === 0 ? undefined : this.#quiet(leaving, signal)
      })
    } catch (err) {
      if (!this.#isOff()) throw err
      return 'cancelled'
    }
  }

  async #isInForce(signal: AbortSignal): Promise<boolean> {
    const { inForce, clock, log } = this.#inputs
    const taken = (ending: AbortSignal) => inForce(ending).then(() => true)
    const isInForce = await inTime({ ms: FORCE_MS, clock }, signal, taken)
    if (!isInForce) log.warn({ group: this.bed.group }, 'it stays awake: a proxy does not take the plan without it')
    return isInForce === true
  }

  async #quiet(leaving: readonly Backend[], signal: AbortSignal): Promise<SleepResult | undefined> {
    const { clock, drainMs, log } = this.#inputs
    const { group, why, isRemoval } = this.bed
    const isGentle = why === 'idle' && !isRemoval
    const endsAt = clock.elapsed() + drainMs
    for (let pauseMs = FIRST_COUNT_MS; ; pauseMs = Math.min(pauseMs * 2, LAST_COUNT_MS)) {
      const open = await this.#count(leaving, signal)
      if (open === 0) return undefined
      const leftMs = endsAt - clock.elapsed()
      if (leftMs <= 0) {
        const sessions = open ?? 'unknown'
        // It was idle a moment ago, and is not: nobody's connection is cut for that.
        if (isGentle) log.info({ group, sessions }, 'it stays awake: it is in use')
        else log.warn({ group, sessions, why }, 'not everybody has finished in time; it is stopped all the same')
        return isGentle ? (open === undefined ? 'refused' : 'cancelled') : undefined
      }
      await clock.sleep(Math.min(pauseMs, leftMs), signal)
    }
  }

  /** @returns undefined when it cannot be told; that is not none */
  async #count(leaving: readonly Backend[], signal: AbortSignal): Promise<number | undefined> {
    try {
      return await this.#inputs.sessions(leaving, signal)
    } catch (err) {
      signal.throwIfAborted()
      this.#inputs.log.debug({ group: this.bed.group, err }, 'open sessions cannot be counted')
      return undefined
    }
  }

  /** Once however often it is asked for; after all that depend on it. */
  #down(key: string): Promise<void> {
    const begun = this.#downs.get(key)
    if (begun) return begun
    const target = this.bed.targets.find((other) => other.key === key)
    const down = target ? this.#putDown(target) : Promise.resolve()
    this.#downs.set(key, down)
    return down
  }

  async #putDown(target: SleepTarget): Promise<void> {
    await Promise.all(target.after.map((key) => this.#down(key)))
    if (this.#hasFailed || this.#isOff()) return
    const { instance } = target.member
    try {
      await this.#act(target)
      await this.#settled(target, 0)
    } catch (err) {
      if (this.#life.aborted) return
      this.#hasFailed = true
      const { group } = this.bed
      this.#inputs.log.error({ container: instance.name, group, err }, 'a container could not be put to sleep')
      const isRefused = err instanceof RuntimeError && err.code === 'refused'
      await this.#settled(target, isRefused ? 0 : DOUBT_MS)
    }
    this.#inputs.gate.release([target.key])
  }

  async #act({ member, how: wanted }: SleepTarget): Promise<void> {
    const { world, removeVolumes, log } = this.#inputs
    const { id, name, source } = member.instance
    const runtime = world.runtime(source)
    if (!runtime) return
    const how = wanted === 'pause' && runtime.cannotPause ? 'stop' : wanted
    log.info({ container: name, group: this.bed.group, why: this.bed.why, how }, 'putting a container to sleep')
    await ACTS[how](runtime, id, removeVolumes, this.#life)
  }

  /**
   * Resolves when facts say that it is down, or its engine that it runs: somebody has started it, or it was never stopped.
   * @param doubtMs for so long the engine may be about to stop it
   */
  async #settled({ key, member }: SleepTarget, doubtMs: number): Promise<void> {
    const { world, lookout, clock } = this.#inputs
    const began = clock.elapsed()
    const isDown = () => {
      const now = world.groups()?.members.get(key)
      return !now || now.instance.state === 'stopped' || now.instance.state === 'paused'
    }
    while (!this.#life.aborted) {
      if (await lookout.within(LOOK_MS, isDown, this.#life).catch(() => true)) return
      const runtime = world.runtime(member.instance.source)
      if (!runtime) return
      const found = await runtime.inspect(member.instance.id, this.#life).catch(() => undefined)
      if (found?.state === 'running' && clock.elapsed() - began >= doubtMs) return
    }
  }
}

const ACTS: Readonly<
  Record<SleepTarget['how'], (runtime: Runtime, id: string, volumes: boolean, signal: AbortSignal) => Promise<void>>
> = {
  stop: (runtime, id, _, signal) => runtime.stop(id, signal),
  pause: (runtime, id, _, signal) => runtime.pause(id, signal),
  remove: (runtime, id, volumes, signal) => runtime.remove(id, { volumes }, signal),
}
