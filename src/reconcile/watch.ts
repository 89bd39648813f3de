import { watch } from 'chokidar'
import type { Logger } from '../lib/logger.js'
import type { Proxy } from '../proxies/proxy.js'
import type { Lane } from './lane.js'

/**
 * Nudges a lane when a file that its proxy depends on changes: a template, the base configuration, a certificate.
 * @returns stops watching
 */
export async function watchPaths(proxy: Proxy, lane: Lane, log: Logger): Promise<() => Promise<void>> {
  const paths = [...proxy.watched()]
  if (paths.length === 0) return async () => undefined
  const watcher = watch(paths, { ignoreInitial: true, depth: 1, ignored: (path) => path.includes('/.hostler') })
  watcher.on('all', (event, path) => {
    log.debug({ proxy: proxy.name, event, path }, 'a file that the proxy depends on has changed')
    lane.nudge()
  })
  watcher.on('error', (err) =>
    log.warn({ proxy: proxy.name, err }, 'watching files failed; the next pass looks at them'),
  )
  await new Promise<void>((resolve) => watcher.once('ready', () => resolve()))
  return () => watcher.close()
}
