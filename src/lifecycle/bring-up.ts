import type { Logger } from '../lib/logger.js'
import type { GroupMember } from '../model/groups.js'
import { isLive } from '../model/instance.js'
import type { Runtime, Workload } from '../runtimes/runtime.js'
import type { Lookout } from './lookout.js'
import { endedStart, refusedStart, StartFailure } from './start-failure.js'
import type { WakeStep, World } from './world.js'

export interface BringUpInputs {
  readonly world: World
  readonly lookout: Lookout
  /** Takes the traffic of a container away, does the work, and gives it back. */
  readonly withheld: (key: string, work: () => Promise<void>, signal: AbortSignal) => Promise<void>
  /** How often in a row it has ended within seconds. */
  readonly crashes: (key: string) => number
  readonly log: Logger
}

/** Where to, and who wants to know. */
export interface Way {
  readonly key: string
  readonly tell: (what: WakeStep['what']) => void
  readonly signal: AbortSignal
}

/** So many ends within seconds, and it is not waited for any longer. */
export const CRASH_LOOP = 3

/** Facts come by events, within milliseconds; they are given that long before anybody asks. */
const FACTS_MS = 100
const ASK_AGAIN_MS = 500
/** It may recover: the next check is told within this time. */
const SICK_MS = 1000
const DOWN_MS = 5000
const MAX_UNPAUSES = 3

/**
 * Resolves when a container takes traffic; a job, and what no route leads to, also when it has ended well.
 * @throws StartFailure, or when the signal fires
 */
export const bringUp = (inputs: BringUpInputs, way: Way): Promise<void> => new Trip(inputs, way).run()

/**
 * Brings one container up, whatever state it is in: starts, unpauses, or starts anew what is unhealthy, and leaves alone
 * what comes up by itself.
 *
 * INVARIANTS
 * - It is started once; what ends after that has failed, unless its engine starts it again.
 * - Facts decide what is done next. They may lag behind: before one that was started is said to have ended or to be
 *   unhealthy, its runtime is asked.
 */
class Trip {
  readonly #inputs: BringUpInputs
  readonly #way: Way
  #service = ''
  #isStarted = false
  /** Since the start. */
  #isSeenUp = false
  #isMended = false
  #unpauses = 0

  constructor(inputs: BringUpInputs, way: Way) {
    this.#inputs = inputs
    this.#way = way
  }

  async run(): Promise<void> {
    for (let isThere = false; !isThere; ) {
      const now = this.#member()
      if (!now) throw this.#failure('its container is gone')
      this.#service = now.wishes.service
      isThere = await this.#step(now)
    }
  }

  /** @returns whether it has arrived */
  async #step(now: GroupMember): Promise<boolean> {
    const { state } = now.instance
    if (state === 'running') return this.#running(now)
    if (state === 'stopped') return this.#isStarted ? this.#ended(now) : this.#start(now)
    if (state === 'paused') return this.#unpause(now)
    this.#isSeenUp = true
    if (this.#inputs.crashes(now.key) >= CRASH_LOOP) throw this.#failure('its container ends again and again')
    return this.#change(now)
  }

  async #running(now: GroupMember): Promise<boolean> {
    this.#isSeenUp = true
    if (isLive(now.instance) && !now.isJob) return true
    if (now.instance.health !== 'unhealthy') {
      this.#way.tell('probing')
      return this.#change(now)
    }
    return this.#isStarted || this.#isMended ? this.#sick(now) : this.#mend(now)
  }

  async #start(now: GroupMember): Promise<boolean> {
    const { name, id } = now.instance
    this.#way.tell('starting')
    this.#inputs.log.info({ container: name, group: now.wishes.lifecycle.group }, 'starting a container')
    await this.#act(now, (runtime) => runtime.start(id, this.#way.signal))
    this.#isStarted = true
    this.#isSeenUp = false
    return false
  }

  async #unpause(now: GroupMember): Promise<boolean> {
    if (this.#unpauses++ >= MAX_UNPAUSES) throw this.#failure('its container stays paused')
    this.#way.tell('starting')
    await this.#act(now, (runtime) => runtime.unpause(now.instance.id, this.#way.signal))
    await this.#within(DOWN_MS, (member) => member?.instance.state !== 'paused')
    return false
  }

  /** It runs but cannot serve: nothing but a new start is left to try. */
  async #mend(now: GroupMember): Promise<boolean> {
    const { id, name } = now.instance
    this.#way.tell('starting')
    this.#isMended = true
    this.#inputs.log.warn({ container: name, group: now.wishes.lifecycle.group }, 'it is unhealthy: it is started anew')
    const restart = async () => {
      await this.#act(now, (runtime) => runtime.stop(id, this.#way.signal))
      await this.#within(DOWN_MS, (member) => !UP.has(member?.instance.state ?? 'stopped'))
    }
    await this.#inputs.withheld(now.key, restart, this.#way.signal)
    return false
  }

  async #sick(now: GroupMember): Promise<boolean> {
    if (await this.#changeWithin(SICK_MS, now)) return false
    const found = await this.#look(now)
    if (found !== 'unknown' && found?.health === 'unhealthy') throw this.#failure('its container stays unhealthy')
    await this.#changeWithin(ASK_AGAIN_MS, now)
    return false
  }

  async #ended(now: GroupMember): Promise<boolean> {
    if (!this.#isSeenUp && (await this.#changeWithin(FACTS_MS, now))) return false
    const found = await this.#look(now)
    if (found === undefined) throw this.#failure('its container is gone')
    if (found === 'unknown' || found.state !== 'stopped') {
      await this.#changeWithin(ASK_AGAIN_MS, now)
      return false
    }
    const mayEnd = now.isJob || now.wishes.routes.length === 0
    if (mayEnd && found.exitCode === 0) return true
    throw this.#failure(endedStart(found))
  }

  async #look({ instance }: GroupMember): Promise<Workload | undefined | 'unknown'> {
    const { world, log } = this.#inputs
    try {
      const runtime = world.runtime(instance.source)
      return runtime ? await runtime.inspect(instance.id, this.#way.signal) : 'unknown'
    } catch (err) {
      this.#way.signal.throwIfAborted()
      log.debug({ container: instance.name, err }, 'a container that was started cannot be looked at')
      return 'unknown'
    }
  }

  async #act({ instance, wishes }: GroupMember, work: (runtime: Runtime) => Promise<void>): Promise<void> {
    const { world, log } = this.#inputs
    const runtime = world.runtime(instance.source)
    if (!runtime) throw this.#failure('nothing here can start it')
    try {
      await work(runtime)
    } catch (err) {
      this.#way.signal.throwIfAborted()
      log.warn({ container: instance.name, group: wishes.lifecycle.group, err }, 'a container could not be started')
      throw this.#failure(refusedStart(err))
    }
  }

  async #change(now: GroupMember): Promise<false> {
    await this.#inputs.lookout.until(() => this.#isOther(now), this.#way.signal)
    return false
  }

  #changeWithin(ms: number, now: GroupMember): Promise<boolean> {
    return this.#within(ms, () => this.#isOther(now))
  }

  #within(ms: number, condition: (member: GroupMember | undefined) => boolean): Promise<boolean> {
    return this.#inputs.lookout.within(ms, () => condition(this.#member()), this.#way.signal)
  }

  #isOther = (now: GroupMember): boolean => this.#member()?.instance !== now.instance

  #member(): GroupMember | undefined {
    return this.#inputs.world.groups()?.members.get(this.#way.key)
  }

  #failure(reason: string): StartFailure {
    return new StartFailure(this.#service, reason)
  }
}

const UP: ReadonlySet<string> = new Set(['running', 'restarting', 'stopping'])
