import type { Clock } from '../lib/clock.js'
import { createDeferred } from '../lib/deferred.js'
import { HostlerError } from '../lib/errors.js'
import type { Dependency, Group, GroupMember } from '../model/groups.js'
import { isLive } from '../model/instance.js'
import { printable } from '../model/label-values.js'
import { type BringUpInputs, bringUp } from './bring-up.js'
import { type GroupViews, isRunning } from './group-views.js'
import { StartFailure } from './start-failure.js'
import type { WakeStep } from './world.js'

/** What all awakenings share. */
export interface AwakeningInputs extends BringUpInputs {
  readonly views: GroupViews
  readonly clock: Clock
  readonly timeoutMs: number
  /** Every container that is being brought up, by its key. */
  readonly trips: Map<string, Trip>
  /** The awakening under way of the group that a container belongs to. */
  readonly awakeningOf: (key: string) => Awakening | undefined
  /** Begins to wake a group that another one needs, unless it is up or under way. */
  readonly alsoWake: (group: string) => Awakening | undefined
  /** Ends the group's falling asleep, if it does; resolves when nothing of it is being stopped any more. */
  readonly interrupt: (group: string) => Promise<void>
  /** A step was taken. */
  readonly told: () => void
  /** What was started in vain is stopped again, where that is wanted. */
  readonly stopAgain: (key: string) => void
  /** Resolves when that is over. */
  readonly stoppedAgain: (key: string) => Promise<void>
}

/** One container on its way up. */
export interface Trip {
  readonly key: string
  step: WakeStep
  readonly done: Promise<void>
}

/** Nothing moves for so long, and it will not become ready. */
const STUCK_MS = 1000

/**
 * One start of one group: brings up its containers, each as soon as what it depends on is as far as that is wanted.
 *
 * INVARIANTS
 * - A container is on one trip at a time, whichever awakenings ask for it.
 * - It depends on others' containers, never on others' awakenings: groups that need each other do not wait in a circle.
 * - When it fails, its own trips end; those that were under way for somebody else go on.
 */
export class Awakening {
  readonly group: string
  readonly #inputs: AwakeningInputs
  readonly #ready = createDeferred()
  readonly #end = new AbortController()
  readonly #trips: Trip[] = []
  readonly #started = new Set<string>()
  #others: readonly Awakening[] = []
  #isPlanned = false

  constructor(group: string, inputs: AwakeningInputs) {
    this.group = group
    this.#inputs = inputs
    this.#ready.promise.catch(() => undefined)
  }

  /** Resolves when the group is ready. @throws HostlerError `WAKE_FAILED`, `WAKE_TIMEOUT`, `NO_SUCH_GROUP` */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** It is known which containers it brings up. */
  get isPlanned(): boolean {
    return this.#isPlanned
  }

  /** Something had to be started. */
  get hasStarted(): boolean {
    return this.#started.size > 0
  }

  /** What it waits for of other groups comes first. */
  steps(): WakeStep[] {
    return [...this.#others.flatMap((other) => other.#trips), ...this.#trips].map(({ step }) => step)
  }

  end(reason: unknown): void {
    this.#end.abort(reason)
  }

  async run(): Promise<void> {
    const { clock, views } = this.#inputs
    const { signal } = this.#end
    const timeoutMs = this.#patienceMs()
    const late = clock.sleep(timeoutMs, signal).then(() => {
      throw timedOut(this.group, timeoutMs)
    })
    late.catch(() => undefined)
    try {
      await Promise.race([this.#awaken(signal), late])
      this.#ready.resolve()
      // Whoever is not needed for requests may take the rest of the time.
      await Promise.race([Promise.allSettled(this.#trips.map(({ done }) => done)), late])
    } catch (error) {
      if (signal.aborted) this.#ready.reject(signal.reason)
      else if (views.isReady(this.group)) this.#ready.resolve()
      else {
        this.#ready.reject(error)
        for (const key of this.#started) this.#inputs.stopAgain(key)
      }
    } finally {
      this.end(new HostlerError('WAKE_ENDED', 'this start is over'))
    }
  }

  /** Some containers say themselves how long they may take. */
  #patienceMs(): number {
    const members = this.#inputs.world.groups()?.byName.get(this.group)?.members ?? []
    const own = members.flatMap(({ wishes }) => wishes.lifecycle.patienceMs ?? [])
    return own.length > 0 ? Math.max(...own) : this.#inputs.timeoutMs
  }

  async #awaken(signal: AbortSignal): Promise<void> {
    const { world, views, lookout } = this.#inputs
    await Promise.race([this.#inputs.interrupt(this.group), aborted(signal)])
    const group = world.groups()?.byName.get(this.group)
    if (!group) throw new HostlerError('NO_SUCH_GROUP', 'it is not there any more')
    for (const member of this.#toBringUp(group)) this.#bringUp(member, signal)
    this.#isPlanned = true
    this.#others = group.needs.flatMap((name) => this.#inputs.alsoWake(name) ?? [])
    this.#inputs.told()
    await Promise.race([lookout.until(() => views.isReady(this.group), signal), this.#arrivals(signal)])
  }

  /** Whoever may be started and does not take traffic; jobs when somebody who waits for them is to be started. */
  #toBringUp({ members }: Group): GroupMember[] {
    const ours = members.filter(({ wishes }) => wishes.lifecycle.wake)
    const keys = new Set(ours.flatMap(({ key, instance, isJob }) => (isJob || isLive(instance) ? [] : [key])))
    // Backwards, for a job may wait for another one.
    for (const { key, isJob } of ours.toReversed()) if (isJob && this.#isAwaited(key, keys)) keys.add(key)
    return ours.filter(({ key }) => keys.has(key))
  }

  #isAwaited(job: string, keys: ReadonlySet<string>): boolean {
    const { world, trips } = this.#inputs
    return [...(world.groups()?.members.values() ?? [])].some(
      ({ key, instance, dependsOn }) =>
        dependsOn.some((dependency) => dependency.key === job && dependency.condition === 'completed') &&
        instance.state === 'stopped' &&
        (keys.has(key) || trips.has(key)),
    )
  }

  #bringUp({ key, wishes, dependsOn }: GroupMember, signal: AbortSignal): void {
    const { trips, clock } = this.#inputs
    const service = printable(wishes.service)
    const tell = (what: WakeStep['what']) => {
      if (trip.step.what === what) return
      if (what === 'starting') this.#started.add(key)
      trip.step = { service, what, at: clock.now() }
      this.#inputs.told()
    }
    const travel = async () => {
      await Promise.all(dependsOn.map((dependency) => this.#satisfied(dependency, signal)))
      await bringUp(this.#inputs, { key, tell, signal }).catch((error) => {
        if (error instanceof StartFailure) tell('failed')
        throw error
      })
      tell('ready')
    }
    const earlier = [trips.get(key)?.done, this.#inputs.stoppedAgain(key)]
    const done = Promise.allSettled(earlier)
      .then(travel)
      .finally(() => {
        if (trips.get(key) === trip) trips.delete(key)
        this.#inputs.lookout.stir()
      })
    done.catch(() => undefined)
    const trip: Trip = { key, step: { service, what: 'waiting', at: clock.now() }, done }
    trips.set(key, trip)
    this.#trips.push(trip)
  }

  async #satisfied(dependency: Dependency, signal: AbortSignal): Promise<void> {
    const other = this.#inputs.awakeningOf(dependency.key)
    const found = this.#inputs.lookout.until(() => this.#isSatisfied(dependency), signal)
    if (!other || other === this) return found
    // Its success is not what is waited for, its failure is the end.
    await Promise.race([found, other.ready.then(() => found)])
  }

  #isSatisfied({ key, condition }: Dependency): boolean {
    const { world, trips, awakeningOf } = this.#inputs
    const member = world.groups()?.members.get(key)
    if (!member) return true
    if (awakeningOf(key)?.isPlanned === false) return false
    const isLeftAlone = !trips.has(key) && !isRunning(member)
    if (isLeftAlone || condition === 'completed') return isLeftAlone
    return condition === 'healthy' ? isLive(member.instance) : member.instance.state === 'running'
  }

  /** Resolves when all have come up, of a group that no route leads to. @throws StartFailure when it will not be ready */
  async #arrivals(signal: AbortSignal): Promise<void> {
    const { views, lookout } = this.#inputs
    await Promise.all(this.#trips.map(({ done }) => done))
    if (this.#trips.length > 0 && views.backends(this.group).length === 0) return
    const isReady = () => views.isReady(this.group)
    const isSettled = () => views.isSettled(this.group)
    while (!isReady()) {
      await lookout.until(() => isReady() || isSettled(), signal)
      if (isReady() || (await lookout.within(STUCK_MS, () => isReady() || !isSettled(), signal))) continue
      throw this.#stuck()
    }
  }

  #stuck(): StartFailure {
    const backend = this.#inputs.views.backends(this.group).find(({ servers }) => servers.length === 0)
    const [waiting] = backend?.waiting ?? []
    const reason = waiting ? `it takes no requests (${waiting.reason})` : 'its containers may not be started'
    return new StartFailure(backend?.service ?? this.group, reason)
  }
}

const timedOut = (group: string, timeoutMs: number) =>
  new HostlerError('WAKE_TIMEOUT', `${printable(group)} was not ready within ${Math.round(timeoutMs / 1000)} s`)

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
