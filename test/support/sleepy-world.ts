import { HostlerError } from '../../src/lib/errors.js'
import type { GroupState, Waker, WakeStep, World } from '../../src/lifecycle/world.js'
import type { Instance } from '../../src/model/instance.js'
import type { Plan } from '../../src/model/plan.js'
import { createPlanner } from '../../src/model/planner.js'
import { instance, rules } from './instances.js'

/** A stack of one container whose app listens on 127.0.0.1. */
export interface Stack {
  readonly port: number
  readonly labels?: Record<string, string>
  readonly state?: Instance['state']
}

/** Facts, plan and waker as the public port sees them; what happens to containers is the test's to say. */
export interface SleepyWorld {
  readonly world: Pick<World, 'plan' | 'onChange'>
  readonly waker: Waker
  /** Every start that was made, by group. */
  readonly starts: string[]
  /** Every call of `wake`. */
  readonly wakes: string[]
  /** Ends a start well: its containers run, and the plan has them. */
  wakeUp(group: string): void
  /** Ends a start badly; none is tried for the next 30 s. */
  fail(group: string, reason: string): void
  /** Somebody stops what is being started. */
  callOff(group: string): void
  step(group: string, service: string, what: WakeStep['what']): void
  /** The container stops, by itself or by somebody else. */
  stop(group: string): void
  /** Its routes lead to the public port, its containers still run. */
  fallAsleep(group: string): void
  /** How many follow the group's state. */
  followers(group: string): number
  listeners(): number
  remove(group: string): void
  /** From now on a start ends well after so many milliseconds. */
  wakesAfter?: number
}

export function createSleepyWorld(stacks: Record<string, Stack>, now: () => number = Date.now): SleepyWorld {
  const makePlan = createPlanner({ ...rules, sleep: { ...rules.sleep, wake: true } })
  const instances = new Map(
    Object.entries(stacks).map(([name, { port, labels, state = 'stopped' }]) => [
      name,
      instance(
        name,
        { port: `${port}`, host: `${name}.test`, ...labels },
        { state, networks: [{ name: 'web', address: '127.0.0.1', shared: true }] },
      ),
    ]),
  )
  const states = new Map<string, GroupState>()
  const listeners = new Set<() => void>()
  const followers = new Map<string, Set<(state: GroupState) => void>>()
  const pending = new Map<string, Deferred>()
  const falling = new Set<string>()
  let plan: Plan = makePlan([...instances.values()])

  const replan = () => {
    const made = makePlan([...instances.values()])
    const backends = made.backends.map((backend) => (falling.has(backend.group) ? { ...backend, held: true } : backend))
    plan = { ...made, backends }
    for (const listener of [...listeners]) listener()
  }
  const tell = (group: string, state: Partial<GroupState>) => {
    const before = states.get(group) ?? { group, phase: 'asleep', since: now(), steps: [] }
    const since = state.phase !== undefined && state.phase !== before.phase ? now() : before.since
    const next: GroupState = { ...before, since, ...state }
    states.set(group, next)
    for (const listener of [...(followers.get(group) ?? [])]) listener(next)
  }
  const setState = (group: string, state: Instance['state']) => {
    const found = instances.get(group)
    if (found) instances.set(group, { ...found, state })
    replan()
  }
  for (const [name, { state }] of Object.entries(stacks)) {
    tell(name, { phase: state === 'running' ? 'awake' : 'asleep' })
  }

  const sleepy: SleepyWorld = {
    world: {
      plan: () => plan,
      onChange(listener) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
    },
    waker: {
      async wake(group) {
        sleepy.wakes.push(group)
        const state = states.get(group)
        if (!instances.has(group)) throw new HostlerError('NO_SUCH_GROUP', `there is no group ${group}`)
        if (falling.delete(group)) {
          tell(group, { phase: 'awake' })
          replan()
        }
        if (instances.get(group)?.state === 'running') return
        if (state?.phase === 'failed' && (state.failure?.retryAt ?? 0) > now()) {
          throw new HostlerError('WAKE_FAILED', `${group} could not be started: ${state.failure?.reason}`)
        }
        const under = pending.get(group)
        if (under) return under.promise
        sleepy.starts.push(group)
        pending.set(group, deferred())
        tell(group, { phase: 'waking', steps: [{ service: group, what: 'starting', at: now() }] })
        if (sleepy.wakesAfter !== undefined) setTimeout(() => sleepy.wakeUp(group), sleepy.wakesAfter)
        return pending.get(group)?.promise
      },
      state: (group) => states.get(group),
      follow(group, listener) {
        const found = followers.get(group) ?? new Set()
        followers.set(group, found)
        found.add(listener)
        return () => void found.delete(listener)
      },
      stop: async () => undefined,
    },
    starts: [],
    wakes: [],
    wakeUp(group) {
      setState(group, 'running')
      const since = states.get(group)?.since ?? now()
      tell(group, { phase: 'awake', steps: [], lastWake: { at: now(), ms: now() - since } })
      pending.get(group)?.resolve()
      pending.delete(group)
    },
    fail(group, reason) {
      tell(group, { phase: 'failed', failure: { service: group, reason, retryAt: now() + 30_000 } })
      pending.get(group)?.reject(new HostlerError('WAKE_FAILED', `${group} could not be started: ${reason}`))
      pending.delete(group)
    },
    callOff(group) {
      pending.get(group)?.reject(new HostlerError('WAKE_ENDED', 'this start is over'))
      pending.delete(group)
      tell(group, { phase: 'asleep', steps: [] })
    },
    step(group, service, what) {
      const others = (states.get(group)?.steps ?? []).filter((step) => step.service !== service)
      tell(group, { steps: [...others, { service, what, at: now() }] })
    },
    stop(group) {
      tell(group, { phase: 'asleep' })
      setState(group, 'stopped')
    },
    fallAsleep(group) {
      falling.add(group)
      tell(group, { phase: 'falling-asleep' })
      replan()
    },
    remove(group) {
      instances.delete(group)
      replan()
    },
    followers: (group) => followers.get(group)?.size ?? 0,
    listeners: () => listeners.size,
  }
  return sleepy
}

interface Deferred {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

function deferred(): Deferred {
  let settle: Omit<Deferred, 'promise'> = { resolve: () => undefined, reject: () => undefined }
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...settle }
}
