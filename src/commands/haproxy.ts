import { type App, metadataFor, startServer } from '../app.js'
import type { Settings } from '../config/schema.js'
import { createAlarm } from '../lib/alarm.js'
import { createBackoff } from '../lib/backoff.js'
import type { Clock } from '../lib/clock.js'
import { messageOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import { createHaproxy } from '../proxies/haproxy/index.js'
import type { ProxyState, State } from '../reconcile/state.js'
import { watchPaths } from '../reconcile/watch.js'
import { VERSION } from '../version.js'

/**
 * `hostler haproxy`: keeps HAProxy on files that somebody else writes (predecessor 1's `generate-maps` in a container
 * beside it, say). A change is checked and loaded; a bad one is told and HAProxy keeps what it has.
 */
export function superviseHaproxy(settings: Settings, { log, clock }: { log: Logger; clock: Clock }): App {
  const proxy = createHaproxy(settings, { log, clock, duty: 'load', ...metadataFor(settings) })
  const stopping = new AbortController()
  const backoff = createBackoff({ firstMs: 500, maxMs: 10_000 })
  const startedAt = clock.now()
  let state: ProxyState = { name: proxy.name, settled: false, applies: {}, failures: 0, refused: [], details: {} }
  const alarm = createAlarm(clock)
  let stopServer: () => Promise<void> = async () => undefined
  let stopWatching: () => Promise<void> = async () => undefined

  async function apply(): Promise<void> {
    try {
      const { how, ms } = await proxy.apply(stopping.signal, stopping.signal)
      const { error: _, ...rest } = state
      state = { ...rest, settled: true }
      backoff.reset()
      if (how === 'nothing') return
      state = {
        ...state,
        lastApply: { at: clock.now(), how, ms, files: [] },
        applies: { ...state.applies, [how]: (state.applies[how] ?? 0) + 1 },
      }
      log.info({ how, ms: Math.round(ms) }, 'haproxy has the files on disk')
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
    proxies: [{ ...state, details: proxy.describe() }],
    plan: { backends: [], routes: [], rejections: [], warnings: [] },
  })

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
    async start() {
      try {
        const server = await startServer(settings, snapshot, log)
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
