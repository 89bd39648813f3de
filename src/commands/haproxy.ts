import { metadataFor } from '../app/metadata.js'
import { openPrivatePort } from '../app/private-port.js'
import type { App } from '../app.js'
import type { Settings } from '../config/schema.js'
import { createMetrics } from '../http/metrics.js'
import { createAlarm } from '../lib/alarm.js'
import { createBackoff } from '../lib/backoff.js'
import type { Clock } from '../lib/clock.js'
import { messageOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import type { Plan } from '../model/plan.js'
import { createHaproxy } from '../proxies/haproxy/index.js'
import { changeOf, createChanges } from '../reconcile/changes.js'
import { lookAhead, type StatePreview } from '../reconcile/preview.js'
import type { ProxyState, State } from '../reconcile/state.js'
import { watchPaths } from '../reconcile/watch.js'
import { VERSION } from '../version.js'

/**
 * `hostler haproxy`: keeps HAProxy on files that somebody else writes (predecessor 1's `generate-maps` in a container
 * beside it, say). A change is checked and loaded; a bad one is told and HAProxy keeps what it has.
 */
export async function superviseHaproxy(
  settings: Settings,
  { log, clock }: { log: Logger; clock: Clock },
): Promise<App> {
  const proxy = createHaproxy(settings, { log, clock, duty: 'load', ...(await metadataFor(settings)) })
  const stopping = new AbortController()
  const backoff = createBackoff({ firstMs: 500, maxMs: 10_000 })
  const startedAt = clock.now()
  const changes = createChanges()
  let state: Omit<ProxyState, 'changes' | 'details'> = {
    name: proxy.name,
    settled: false,
    applies: {},
    failures: 0,
    refused: [],
  }
  const alarm = createAlarm(clock)
  let stopServer: () => Promise<void> = async () => undefined
  let stopWatching: () => Promise<void> = async () => undefined

  async function apply(): Promise<void> {
    try {
      const applied = await proxy.apply(stopping.signal, stopping.signal)
      const { how, ms, why } = applied
      const { error: _, ...rest } = state
      state = { ...rest, settled: true }
      backoff.reset()
      if (how === 'nothing') return
      state = { ...state, applies: { ...state.applies, [how]: (state.applies[how] ?? 0) + 1 } }
      changes.add(changeOf(applied, { at: clock.now(), files: [] }))
      log.info({ how, ms: Math.round(ms), why }, 'haproxy has the files on disk')
    } catch (cause) {
      if (stopping.signal.aborted) return
      const error = messageOf(cause)
      if (error !== state.error) log.error({ err: cause }, 'haproxy does not have the files on disk')
      state = { ...state, error, failures: state.failures + 1 }
    }
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      await apply()
      await alarm.wait(state.error === undefined ? settings.pollInterval : backoff.next(), stopping.signal)
    }
  }

  const snapshot = (): State => ({
    version: VERSION,
    startedAt,
    domain: settings.domain,
    problems: state.settled && state.error === undefined ? [] : [state.error ?? 'haproxy has not started yet'],
    sources: [],
    proxies: [{ ...state, changes: changes.list(), details: proxy.describe() }],
    plan: NOTHING,
  })
  // The files are somebody else's: what lies there is what counts.
  const preview = async (signal: AbortSignal): Promise<StatePreview> => {
    const asked = { plan: NOTHING, error: state.error, differing: async () => [] }
    return {
      version: VERSION,
      domain: settings.domain,
      problems: [],
      proxies: [await lookAhead(proxy, asked, signal)],
    }
  }

  let ended: Promise<void> = Promise.resolve()

  async function stop(): Promise<void> {
    stopping.abort()
    await ended
    await stopWatching()
    await proxy.stop?.()
    await stopServer()
  }

  return {
    get ended() {
      return ended
    },
    state: snapshot,
    preview,
    async start() {
      try {
        const server = await openPrivatePort({
          settings,
          told: { state: snapshot, preview },
          metrics: createMetrics(),
          log,
        })
        stopServer = () => server.stop()
        stopWatching = await watchPaths(proxy, () => alarm.ring(), log)
        await proxy.start?.(stopping.signal)
        ended = follow()
      } catch (error) {
        await stop()
        throw error
      }
    },
    stop,
  }
}

const NOTHING: Plan = { backends: [], routes: [], rejections: [], warnings: [] }
