import type { Settings } from '../../src/config/schema.js'
import { createAlarm } from '../../src/lib/alarm.js'
import { silentLogger } from '../../src/lib/logger.js'
import type { SessionCounter } from '../../src/lifecycle/bedtime.js'
import { createLifecycle, type Lifecycle } from '../../src/lifecycle/index.js'
import type { LifecycleEvent } from '../../src/lifecycle/world.js'
import type { Plan } from '../../src/model/plan.js'
import { createPlanner } from '../../src/model/planner.js'
import { createWishReader } from '../../src/model/reader.js'
import type { LabelRules } from '../../src/model/wishes.js'
import { createFactCache } from '../../src/reconcile/fact-cache.js'
import type { Lane } from '../../src/reconcile/lane.js'
import { createReconciler } from '../../src/reconcile/reconciler.js'
import { createFakeClock, type FakeClock } from './clock.js'
import { rules as usualRules } from './instances.js'
import { createEngineDouble, type EngineDouble } from './runtime-double.js'
import { tempDir } from './temp.js'

/** A proxy that takes plans in its own time. */
export interface ProxyDouble extends Lane {
  /** What it routes by now. */
  current: Plan | undefined
  /** From a plan to its being in force. */
  applyMs: number
  /** It takes no plan. */
  isBroken: boolean
}

function createProxyDouble(clock: FakeClock): ProxyDouble {
  const alarm = createAlarm(clock)
  const waiting = new Set<() => void>()
  const proxy: ProxyDouble = {
    current: undefined,
    applyMs: 0,
    isBroken: false,
    nudge: () => alarm.ring(),
    reconsider: () => alarm.ring(),
    preview: () => Promise.reject(new Error('not here')),
    inForce: (signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        waiting.add(resolve)
        alarm.ring()
      }),
    async run(newest, signal) {
      while (!signal.aborted) {
        await alarm.wait(proxy.isBroken ? 1000 : undefined, signal)
        const waited = [...waiting]
        const plan = newest()
        if (!plan || proxy.isBroken) continue
        if (proxy.applyMs > 0) await clock.sleep(proxy.applyMs, signal).catch(() => undefined)
        proxy.current = plan
        for (const resolve of waited) {
          waiting.delete(resolve)
          resolve()
        }
      }
    },
    state: () => ({ name: 'double', settled: true, applies: {}, changes: [], failures: 0, refused: [], details: {} }),
  }
  return proxy
}

export interface Town extends Lifecycle {
  readonly clock: FakeClock
  readonly engine: EngineDouble
  readonly proxy: ProxyDouble
  readonly events: LifecycleEvent[]
  /** Open connections to each container, as the proxies would count them; an error where they cannot. */
  readonly sessions: Map<string, number | Error>
  /** Lets time pass in steps so small that everything happens in its order. */
  advance(ms: number, stepMs?: number): Promise<void>
  /** Lets everything happen that needs no time. */
  settle(): Promise<void>
  close(): Promise<void>
}

export interface TownOptions {
  readonly build: (engine: EngineDouble) => void
  readonly readiness?: boolean
  readonly wakeTimeoutMs?: number
  readonly drainMs?: number
  readonly removeVolumes?: boolean
  readonly subnet?: string
  readonly rules?: LabelRules
  /** Counts in place of `sessions`. */
  readonly countSessions?: SessionCounter
}

/** The whole of lifecycle around an engine, a proxy and a clock that a test holds in its hands. */
export async function createTown({ build, ...options }: TownOptions): Promise<Town> {
  const clock = createFakeClock()
  const engine = createEngineDouble(clock, 'test', options.subnet)
  const proxy = createProxyDouble(clock)
  const events: LifecycleEvent[] = []
  const sessions = new Map<string, number | Error>()
  const log = silentLogger()
  const rules = options.rules ?? usualRules
  const read = createWishReader(rules)
  build(engine)
  const { source, runtime } = engine
  const lifecycle = createLifecycle({
    settings: {
      readiness: { enabled: options.readiness ?? true, timeout: 60_000 },
      wake: { timeout: options.wakeTimeoutMs ?? 120_000 },
      sleep: { drain: options.drainMs ?? 30_000, removeVolumes: options.removeVolumes ?? false },
    } as Pick<Settings, 'readiness' | 'wake' | 'sleep'>,
    ...{ rules, read, clock, log, runtimes: [runtime] },
    sessions: async (backends, signal) => {
      if (options.countSessions) return options.countSessions(backends, signal)
      const counts = backends.flatMap(({ servers }) => servers.map((server) => sessions.get(server.instance) ?? 0))
      for (const count of counts) if (count instanceof Error) throw count
      return counts.reduce<number>((sum, count) => sum + Number(count), 0)
    },
    reconcile: (gate) =>
      createReconciler({
        ...{ sources: [source], gate, makePlan: createPlanner(rules, read), lanes: [proxy], clock, log },
        cache: createFactCache({ dir: tempDir(), log }),
        pollIntervalMs: 2 ** 30,
      }),
    record: (event) => void events.push(event),
    probe: async ({ address }) => engine.accepts(address),
  })
  const running = new AbortController()
  const run = lifecycle.reconciler.run(running.signal)
  const settle = async () => {
    for (let turn = 0; turn < 3; turn++) await clock.pass(0)
  }
  await settle()
  return {
    ...lifecycle,
    ...{ clock, engine, proxy, events, sessions, settle },
    async advance(ms, stepMs = 50) {
      for (let passed = 0; passed < ms; passed += stepMs) await clock.pass(Math.min(stepMs, ms - passed))
    },
    async close() {
      await lifecycle.stop()
      running.abort()
      engine.close()
      await run
    },
  }
}
