import { resolve } from 'node:path'
import { labelRulesOf } from './config/label-rules.js'
import type { Settings } from './config/schema.js'
import type { PrivateServer } from './http/private-server.js'
import type { Clock } from './lib/clock.js'
import type { Logger } from './lib/logger.js'
import { createPlanner } from './model/planner.js'
import { createProxies } from './proxies/index.js'
import type { MetadataValues, Proxy } from './proxies/proxy.js'
import type { Publisher } from './publish/files.js'
import { createPublisher } from './publish/publisher.js'
import { createFactCache } from './reconcile/fact-cache.js'
import { createLane, type Lane, type RoundOutcome } from './reconcile/lane.js'
import type { StatePreview } from './reconcile/preview.js'
import { createReconciler, type Reconciler } from './reconcile/reconciler.js'
import type { SourceState, State } from './reconcile/state.js'
import { watchPaths } from './reconcile/watch.js'
import { runtimeNames } from './runtimes/index.js'
import { createSources } from './sources/index.js'
import { createMetadataLookups } from './sources/rancher-metadata/lookups.js'
import { VERSION } from './version.js'

export interface App {
  /** Starts everything; resolves when it follows its sources. @throws HostlerError; whatever was started is stopped again. */
  start(): Promise<void>
  /** Stops in reverse order; the proxy finishes what it has. */
  stop(): Promise<void>
  state(): State
  /** What the next pass would do. Changes nothing. */
  preview(signal: AbortSignal): Promise<StatePreview>
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
export function createApp(settings: Settings, context: AppContext): App {
  const { log, clock } = context
  const startedAt = clock.now()
  const outcomes: RoundOutcome[] = []
  let record: (outcome: RoundOutcome) => void = (outcome) => void outcomes.push(outcome)
  const sources = createSources(settings, { log })
  const proxies = createProxies(settings, { ...context, ...metadataFor(settings) })
  const publishers = proxies.map(({ root }) => createPublisher({ root: resolve(root), log }))
  const lanes = proxies.map((proxy, index) =>
    createLane({ proxy, publisher: publishers[index] as Publisher, log, clock, done: (outcome) => record(outcome) }),
  )
  const rules = labelRulesOf(settings, { wakes: runtimeNames(settings), holds: false })
  const reconciler = createReconciler({
    sources,
    makePlan: createPlanner(rules),
    lanes,
    cache: createFactCache({ dir: settings.stateDir, log }),
    pollIntervalMs: settings.pollInterval,
    clock,
    log,
  })
  const stopping = new AbortController()
  const undo: (() => Promise<void>)[] = []
  let finish: { resolve: () => void; reject: (error: unknown) => void } = { resolve: () => {}, reject: () => {} }
  const ended = new Promise<void>((resolve, reject) => {
    finish = { resolve, reject }
  })
  ended.catch(() => undefined)

  const state = (): State => snapshot({ settings, startedAt, reconciler, lanes })
  const preview = async (signal: AbortSignal): Promise<StatePreview> => {
    const plan = reconciler.plan()
    const found = await Promise.all(lanes.map((lane) => lane.preview(plan, signal)))
    return { version: VERSION, domain: settings.domain, problems: troubles(reconciler.sources()), proxies: found }
  }

  async function start(): Promise<void> {
    const server = await startServer(settings, { state, preview }, log)
    undo.push(() => server.stop())
    record = server.record
    for (const outcome of outcomes.splice(0)) record(outcome)
    for (const [index, proxy] of proxies.entries()) await startProxy(proxy, publishers[index] as Publisher)
    const watchers = await Promise.all(
      proxies.map((proxy, index) => watchPaths(proxy, () => lanes[index]?.reconsider(), log)),
    )
    undo.push(...watchers)
    const running = reconciler.run(stopping.signal)
    running.then(finish.resolve, finish.reject)
    undo.push(async () => {
      stopping.abort()
      await running.catch(() => undefined)
    })
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

/** Certificates and the like from Rancher's metadata, where that is a source. */
export const metadataFor = ({ sources, metadata }: Settings): { metadata?: MetadataValues } =>
  sources.includes('rancher-metadata') && !metadata.disabled ? { metadata: createMetadataLookups(metadata) } : {}

/**
 * Serves what these say on the private port. Imported when needed: commands that do not serve start faster without it.
 */
export async function startServer(
  settings: Settings,
  told: Pick<App, 'state' | 'preview'>,
  log: Logger,
): Promise<PrivateServer & { record: (outcome: RoundOutcome) => void }> {
  const [{ createPrivateServer }, { createMetrics }] = await Promise.all([
    import('./http/private-server.js'),
    import('./http/metrics.js'),
  ])
  const metrics = createMetrics()
  const server = createPrivateServer({ ...settings.private, ...told, metrics, log })
  const { host, port } = await server.start()
  log.info({ listen: `${host}:${port}`, version: VERSION }, 'hostler has started')
  const record = (outcome: RoundOutcome) => {
    if ('failed' in outcome) return
    if (!['nothing', 'later'].includes(outcome.applied.how))
      metrics.applied(outcome.proxy, outcome.applied.how, outcome.applied.ms)
    if (outcome.changed.length > 0) metrics.round(outcome.publishedMs)
  }
  return { ...server, record }
}

interface Parts {
  readonly settings: Settings
  readonly startedAt: number
  readonly reconciler: Reconciler
  readonly lanes: readonly Lane[]
}

function snapshot({ settings, startedAt, reconciler, lanes }: Parts): State {
  const plan = reconciler.plan()
  const sources = reconciler.sources()
  const proxies = lanes.map((lane) => lane.state())
  const problems = [
    ...troubles(sources),
    ...proxies.filter(({ error }) => error !== undefined).map(({ name, error }) => `proxy ${name}: ${error}`),
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
    plan: plan ?? empty,
  }
}

const troubles = (sources: readonly SourceState[]): string[] =>
  sources.filter(({ error }) => error !== undefined).map(({ name, error }) => `source ${name}: ${error}`)

const notYet = ({ settled, error }: { settled: boolean; error?: string }): boolean => !settled && error === undefined
