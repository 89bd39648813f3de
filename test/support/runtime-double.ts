import type { Clock } from '../../src/lib/clock.js'
import type { Instance, InstanceHealth, InstanceState } from '../../src/model/instance.js'
import { type Runtime, RuntimeError, type RuntimeErrorCode, type Workload } from '../../src/runtimes/runtime.js'
import type { Source, SourceEvents } from '../../src/sources/source.js'
import { instance } from './instances.js'

/** How a container behaves; a test may change it at any time. */
export interface Behaviour {
  /** Until the engine has started its process. */
  startMs: number
  /** Until it accepts connections, and its health check, where it has one, is healthy. */
  bootMs: number
  /** Its health check ends so instead. */
  boots: 'well' | 'never' | 'unhealthy'
  hasCheck: boolean
  /** It ends by itself so long after its start. */
  exitsAfterMs: number | undefined
  exitCode: number
  /** From the stop signal to its end. */
  stopMs: number
  /** Its engine starts it again when it ends by itself. */
  restarts: boolean
  failStart: RuntimeErrorCode | undefined
  failStop: RuntimeErrorCode | undefined
}

/** One container, as it really is: what facts and runtime tell of it. */
export interface ContainerDouble {
  readonly name: string
  readonly behaviour: Behaviour
  readonly state: InstanceState
  readonly health: InstanceHealth
  /** It answers on its port. */
  readonly isListening: boolean
  /** Somebody asked for its end, and it has not been started since. */
  readonly isAskedToStop: boolean
  /** That was the runtime, which has taken the call. */
  readonly isAskedByUs: boolean
  readonly address: string
}

/**
 * A container engine in memory: a source that tells of what its runtime does. Facts are told at once, or when the test says
 * so.
 */
export interface EngineDouble {
  readonly source: Source
  readonly runtime: Runtime
  /** What was asked of the runtime, in order: `start web`. */
  readonly asked: string[]
  /** Starts of what was known to run, or was being started already. */
  readonly needless: string[]
  /** Called when the runtime has taken the wish that a container ends or pauses. */
  onStop: (name: string) => void
  /** While false, changes are not told; setting it true tells what is now. */
  isTelling: boolean
  /** While true, every call of the runtime fails. */
  isUnreachable: boolean
  add(
    name: string,
    labels?: Record<string, string>,
    as?: Partial<Behaviour> & { state?: InstanceState; createdAt?: number },
  ): ContainerDouble
  get(name: string): ContainerDouble
  /** What somebody else does. */
  start(name: string): void
  stop(name: string): void
  pause(name: string): void
  crash(name: string): void
  ail(name: string): void
  remove(name: string): void
  /** Whether a connection to this address would be accepted. */
  accepts(address: string): boolean
  /** Ends what it does in the background. */
  close(): void
}

const DEFAULTS: Behaviour = {
  startMs: 0,
  bootMs: 0,
  boots: 'well',
  hasCheck: false,
  exitsAfterMs: undefined,
  exitCode: 0,
  stopMs: 0,
  restarts: false,
  failStart: undefined,
  failStop: undefined,
}

interface Real {
  readonly name: string
  readonly behaviour: Behaviour
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
  readonly createdAt: number
  state: InstanceState
  health: InstanceHealth
  isListening: boolean
  isAskedToStop: boolean
  isAskedByUs: boolean
  isStarting: boolean
  ending: Promise<void> | undefined
  exitCode: number | undefined
  startedAt: number
  endedAt: number
  restarts: number
  /** Ends with every run. */
  life: AbortController
  fact: Instance | undefined
}

/** @param subnet the first three numbers of its containers' addresses */
export function createEngineDouble(clock: Clock, source = 'test', subnet = '10.0.0'): EngineDouble {
  const containers = new Map<string, Real>()
  const asked: string[] = []
  const needless: string[] = []
  let events: SourceEvents | undefined
  let isTelling = true
  let isUnreachable = false

  function tell(): void {
    if (isTelling) events?.report(facts())
  }

  function facts(): Instance[] {
    return [...containers.values()].map((real) => {
      const { name, state, health, labels, createdAt, address, fact } = real
      if (fact?.state !== state || fact.health !== health) {
        const networks = state === 'stopped' ? [] : [{ name: 'net', address, shared: true }]
        real.fact = instance(name, labels, { source, state, health, createdAt, networks })
      }
      return real.fact as Instance
    })
  }

  const find = (name: string): Real => {
    const real = containers.get(name)
    if (!real) throw new RuntimeError('no-such-workload', `there is no container ${name}`)
    return real
  }

  /** Goes on in a run of the container unless that has ended. */
  const later = (real: Real, ms: number, act: () => void): void => {
    const { life } = real
    const go = () => {
      if (life.signal.aborted) return
      act()
      tell()
    }
    if (ms === 0) go()
    else clock.sleep(ms, life.signal).then(go, () => undefined)
  }

  function begin(real: Real): void {
    const { behaviour } = real
    real.life = new AbortController()
    Object.assign(real, {
      state: 'running',
      isAskedToStop: false,
      isAskedByUs: false,
      exitCode: undefined,
      startedAt: clock.now(),
      isListening: false,
    })
    real.health = behaviour.hasCheck ? 'starting' : 'none'
    tell()
    if (behaviour.exitsAfterMs !== undefined) later(real, behaviour.exitsAfterMs, () => end(real, behaviour.exitCode))
    if (behaviour.boots === 'never') return
    later(real, behaviour.bootMs, () => {
      real.isListening = behaviour.boots === 'well'
      if (behaviour.hasCheck) real.health = behaviour.boots === 'well' ? 'healthy' : 'unhealthy'
    })
  }

  function end(real: Real, exitCode: number): void {
    real.life.abort()
    real.ending = undefined
    Object.assign(real, { state: 'stopped', health: 'none', isListening: false, exitCode, endedAt: clock.now() })
    if (!real.behaviour.restarts || real.isAskedToStop) return
    real.state = 'restarting'
    real.restarts++
    real.life = new AbortController()
    later(real, 100, () => begin(real))
  }

  function askToStop(real: Real): Promise<void> {
    if (real.state === 'stopped') return Promise.resolve()
    if (real.ending) return real.ending
    real.isAskedToStop = true
    real.life.abort()
    real.life = new AbortController()
    const { life } = real
    real.ending = new Promise<void>((resolve) => life.signal.addEventListener('abort', () => resolve()))
    const { ending } = real
    if (real.behaviour.stopMs > 0) {
      real.state = 'stopping'
      tell()
    }
    later(real, real.behaviour.stopMs, () => end(real, 143))
    return ending
  }

  /** Every call takes a moment, as over a socket. */
  async function call<T>(what: string, name: string, signal: AbortSignal, work: () => T | Promise<T>): Promise<T> {
    signal.throwIfAborted()
    asked.push(`${what} ${name}`)
    const result = answer(name, work)
    result.catch(() => undefined)
    const gone = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    return Promise.race([result, gone])
  }

  async function answer<T>(name: string, work: () => T | Promise<T>): Promise<T> {
    if (isUnreachable) throw new RuntimeError('unreachable', `the engine does not answer (${name})`)
    await Promise.resolve()
    return work()
  }

  const refuse = (code: RuntimeErrorCode | undefined, name: string) => {
    if (code) throw new RuntimeError(code, `raw words of the engine about ${name}`)
  }

  const takeStop = (name: string) => {
    if (find(name).state === 'stopped') return
    find(name).isAskedByUs = true
    engine.onStop(name)
  }

  const runtime: Runtime = {
    source,
    start: (id, signal) =>
      call('start', id, signal, async () => {
        const real = find(id)
        refuse(real.behaviour.failStart, id)
        if (real.isStarting || (real.state === 'running' && real.fact?.state === 'running')) needless.push(id)
        real.isStarting = true
        if (real.behaviour.startMs > 0) await clock.sleep(real.behaviour.startMs)
        real.isStarting = false
        if (real.state === 'stopped' || real.state === 'restarting') {
          real.life.abort()
          begin(real)
        }
      }),
    stop: (id, signal) =>
      call('stop', id, signal, () => {
        refuse(find(id).behaviour.failStop, id)
        takeStop(id)
        return askToStop(find(id))
      }),
    pause: (id, signal) =>
      call('pause', id, signal, () => {
        refuse(find(id).behaviour.failStop, id)
        takeStop(id)
        find(id).isAskedToStop = true
        engine.pause(id)
      }),
    unpause: (id, signal) =>
      call('unpause', id, signal, () => {
        const real = find(id)
        if (real.state !== 'paused') return
        Object.assign(real, { state: 'running', isAskedToStop: false, isAskedByUs: false })
        tell()
      }),
    remove: (id, { volumes }, signal) =>
      call(volumes ? 'remove with volumes' : 'remove', id, signal, async () => {
        if (!containers.has(id)) return
        refuse(find(id).behaviour.failStop, id)
        takeStop(id)
        await askToStop(find(id))
        containers.delete(id)
        tell()
      }),
    inspect: (id, signal) => call('inspect', id, signal, () => workloadOf(containers.get(id))),
    create: () => Promise.reject(new Error('not here')),
    pull: () => Promise.reject(new Error('not here')),
    list: () => Promise.reject(new Error('not here')),
    traffic: async () => undefined,
  }

  const engine: EngineDouble = {
    runtime,
    asked,
    needless,
    onStop: () => undefined,
    source: {
      name: source,
      list: async () => facts(),
      watch: (given, signal) => {
        events = given
        tell()
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
      },
    },
    get isTelling() {
      return isTelling
    },
    set isTelling(telling) {
      isTelling = telling
      tell()
    },
    get isUnreachable() {
      return isUnreachable
    },
    set isUnreachable(unreachable) {
      isUnreachable = unreachable
    },
    add(name, labels = {}, { state = 'running', createdAt, ...behaviour } = {}) {
      const real: Real = {
        ...{ name, labels, state, health: 'none', isListening: state === 'running' },
        behaviour: { ...DEFAULTS, ...behaviour },
        ...{ isAskedToStop: false, isAskedByUs: false, isStarting: false, ending: undefined },
        address: `${subnet}.${containers.size + 1}`,
        createdAt: createdAt ?? containers.size + 1,
        ...{ exitCode: undefined, startedAt: 0, endedAt: 0, restarts: 0, life: new AbortController(), fact: undefined },
      }
      if (real.behaviour.hasCheck && state === 'running') real.health = 'healthy'
      containers.set(name, real)
      tell()
      return real
    },
    get: find,
    start(name) {
      if (find(name).state === 'stopped') begin(find(name))
    },
    stop: (name) => void askToStop(find(name)),
    pause(name) {
      if (find(name).state !== 'running') return
      find(name).state = 'paused'
      tell()
    },
    crash(name) {
      if (find(name).state !== 'running') return
      end(find(name), 1)
      tell()
    },
    ail(name) {
      if (find(name).state !== 'running') return
      Object.assign(find(name), { health: 'unhealthy', isListening: false })
      tell()
    },
    remove(name) {
      find(name).life.abort()
      containers.delete(name)
      tell()
    },
    accepts: (address) =>
      [...containers.values()].some((real) => real.address === address && real.isListening && real.state !== 'paused'),
    close() {
      for (const { life } of containers.values()) life.abort()
    },
  }
  return engine
}

function workloadOf(real: Real | undefined): Workload | undefined {
  if (!real) return undefined
  const { name, labels, state, health, exitCode, createdAt, startedAt, endedAt, restarts } = real
  return {
    ...{
      id: name,
      name,
      image: 'app',
      labels,
      env: {},
      networks: ['net'],
      state,
      health,
      createdAt,
      startedAt,
      endedAt,
      restarts,
    },
    ...(exitCode !== undefined && state === 'stopped' && { exitCode }),
  }
}
