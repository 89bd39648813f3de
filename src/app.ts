import { resolve } from 'node:path'
import { createAnnouncing } from './app/announcing.js'
import { metadataFor } from './app/metadata.js'
import { nudging } from './app/nudging.js'
import { controlRoutes, openPrivatePort, type Told } from './app/private-port.js'
import { createSleepAndWake, type SleepAndWake } from './app/sleep-and-wake.js'
import { onlyAnnounces } from './config/announce.js'
import { labelRulesOf } from './config/label-rules.js'
import type { Settings } from './config/schema.js'
import { createMetrics, type Metrics } from './http/metrics.js'
import type { Clock } from './lib/clock.js'
import type { Logger } from './lib/logger.js'
import { createPlanner } from './model/planner.js'
import { createWishReader } from './model/reader.js'
import { createProxies } from './proxies/index.js'
import type { Proxy } from './proxies/proxy.js'
import type { Publisher } from './publish/files.js'
import { createPublisher } from './publish/publisher.js'
import { createFactCache } from './reconcile/fact-cache.js'
import { createLane, type Lane, type RoundOutcome } from './reconcile/lane.js'
import type { StatePreview } from './reconcile/preview.js'
import { createReconciler, type FactGate, type Reconciler } from './reconcile/reconciler.js'
import type { RegistryState, SourceState, State } from './reconcile/state.js'
import { watchPaths } from './reconcile/watch.js'
import { createRuntimes } from './runtimes/index.js'
import { createSources } from './sources/index.js'
import { VERSION } from './version.js'

export interface App extends Told {
  /** Starts everything; resolves when it follows its sources. @throws HostlerError; whatever was started is stopped again. */
  start(): Promise<void>
  /** Stops in reverse order; the proxy finishes what it has. */
  stop(): Promise<void>
  /** Resolves when it has stopped, rejects when it broke down. */
  readonly ended: Promise<void>
}

export interface AppContext {
  readonly log: Logger
  readonly clock: Clock
  /** `publish`: write files and leave the proxy to another process. */
  readonly duty: 'drive' | 'publish'
}

/** The composition root. */
export async function createApp(settings: Settings, context: AppContext): Promise<App> {
  const { log, clock } = context
  const startedAt = clock.now()
  const metrics = createMetrics()
  const sources = await createSources(settings, { log })
  const proxies = await createProxies(settings, { ...context, ...(await metadataFor(settings)) })
  const publishers = proxies.map(({ root }) => createPublisher({ root: resolve(root), log }))
  const lanes = proxies.map((proxy, index) =>
    createLane({ proxy, publisher: publishers[index] as Publisher, log, clock, done: recorder(metrics) }),
  )
  const drives = context.duty === 'drive' && !onlyAnnounces(settings)
  const made = drives ? await createRuntimes(settings, { log }) : []
  const runtimes = made.map((runtime) => nudging(runtime, sources))
  const wakes = runtimes.map(({ source }) => source)
  const rules = labelRulesOf(settings, { wakes, holds: drives })
  const read = createWishReader(rules)
  const cache = createFactCache({ dir: settings.stateDir, log })
  const reconcile = (more: { gate?: FactGate } = {}) =>
    createReconciler({
      ...{ sources, lanes, cache, clock, log },
      makePlan: createPlanner(rules, read),
      pollIntervalMs: settings.pollInterval,
      ...more,
    })
  const sleep = drives
    ? createSleepAndWake({
        ...{ settings, rules, read, runtimes, proxies, clock, log },
        reconcile: (gate) => reconcile({ gate }),
        metrics: metrics.lifecycle,
      })
    : undefined
  const reconciler = sleep?.reconciler ?? reconcile()
  const announcing = await createAnnouncing({ settings, rules, reconciler, clock, log })
  const stopping = new AbortController()
  const undo: (() => Promise<void>)[] = []
  let finish: { resolve: () => void; reject: (error: unknown) => void } = { resolve: () => {}, reject: () => {} }
  const ended = new Promise<void>((resolve, reject) => {
    finish = { resolve, reject }
  })
  ended.catch(() => undefined)

  const state = (): State =>
    snapshot({ settings, startedAt, reconciler, lanes, sleep, registries: announcing.states() })
  const preview = async (signal: AbortSignal): Promise<StatePreview> => {
    const plan = reconciler.plan()
    const found = await Promise.all(lanes.map((lane) => lane.preview(plan, signal)))
    return { version: VERSION, domain: settings.domain, problems: troubles(reconciler.sources()), proxies: found }
  }

  async function start(): Promise<void> {
    const routes = sleep && (await controlRoutes({ settings, controls: sleep.controls, runtimes, clock, log }))
    const server = await openPrivatePort({
      settings,
      told: { state, preview },
      metrics,
      log,
      ...(routes && { routes }),
    })
    undo.push(() => server.stop())
    // Before anything leads there, and until nothing does.
    await sleep?.open()
    undo.push(async () => sleep?.close())
    for (const [index, proxy] of proxies.entries()) await startProxy(proxy, publishers[index] as Publisher)
    const watchers = await Promise.all(
      proxies.map((proxy, index) => watchPaths(proxy, () => lanes[index]?.reconsider(), log)),
    )
    undo.push(...watchers)
    announcing.start()
    undo.push(() => announcing.stop())
    const running = reconciler.run(stopping.signal)
    running.then(finish.resolve, finish.reject)
    undo.push(async () => {
      stopping.abort()
      await running.catch(() => undefined)
    })
    // Before the proxies are in step nobody can tell who is idle.
    const watching = sleep && reconciler.inForce(stopping.signal).then(() => sleep.watch())
    watching?.catch((err) => !stopping.signal.aborted && log.error({ err }, 'idle stacks are not looked for'))
    undo.push(async () => sleep?.rest())
  }

  async function startProxy(proxy: Proxy, publisher: Publisher): Promise<void> {
    const { mended } = await publisher.recover()
    undo.push(() => publisher.close())
    if (mended.length > 0)
      log.warn({ proxy: proxy.name, files: mended }, 'finished what an earlier run had begun to publish')
    undo.push(async () => proxy.stop?.())
    await proxy.start?.(stopping.signal)
  }

  async function stop(): Promise<void> {
    stopping.abort()
    for (const step of undo.splice(0).reverse()) {
      await step().catch((err) => log.error({ err }, 'stopping did not go as it should'))
    }
  }

  return {
    ended,
    state,
    preview,
    stop,
    async start() {
      try {
        await start()
      } catch (error) {
        await stop()
        throw error
      }
    },
  }
}

/** Durations, as they happen. */
const recorder = (metrics: Metrics) => (outcome: RoundOutcome) => {
  if ('failed' in outcome) return
  if (!['nothing', 'later'].includes(outcome.applied.how))
    metrics.applied(outcome.proxy, outcome.applied.how, outcome.applied.ms)
  if (outcome.changed.length > 0) metrics.round(outcome.publishedMs)
}

interface Parts {
  readonly settings: Settings
  readonly startedAt: number
  readonly reconciler: Reconciler
  readonly lanes: readonly Lane[]
  readonly sleep: SleepAndWake | undefined
  readonly registries: readonly RegistryState[]
}

function snapshot({ settings, startedAt, reconciler, lanes, sleep, registries }: Parts): State {
  const plan = reconciler.plan()
  const sources = reconciler.sources()
  const proxies = lanes.map((lane) => lane.state())
  const problems = [
    ...troubles(sources),
    ...proxies.filter(({ error }) => error !== undefined).map(({ name, error }) => `proxy ${name}: ${error}`),
    ...registries.filter(({ error }) => error !== undefined).map(({ name, error }) => `registry ${name}: ${error}`),
    ...(plan === undefined ? ['no source has told yet what is running'] : []),
    ...(plan === undefined ? [] : proxies.filter(notYet).map(({ name }) => `proxy ${name}: nothing is in force yet`)),
  ]
  const empty = { backends: [], routes: [], rejections: [], warnings: [] }
  const entrance = settings.https.enabled
    ? ({ scheme: 'https', port: settings.https.port } as const)
    : ({ scheme: 'http', port: settings.http.port } as const)
  return {
    version: VERSION,
    startedAt,
    domain: settings.domain,
    entrance,
    problems,
    sources,
    proxies,
    ...(registries.length > 0 && { registries }),
    plan: plan ?? empty,
    ...(sleep && { lifecycle: sleep.state() }),
  }
}

const troubles = (sources: readonly SourceState[]): string[] =>
  sources.filter(({ error }) => error !== undefined).map(({ name, error }) => `source ${name}: ${error}`)

const notYet = ({ settled, error }: { settled: boolean; error?: string }): boolean => !settled && error === undefined
