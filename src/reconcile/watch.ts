import { basename, dirname, join } from 'node:path'
import { watch } from 'chokidar'
import type { Logger } from '../lib/logger.js'
import type { Proxy } from '../proxies/proxy.js'

/** A file that is being written is left alone until nothing has moved for this long: half a configuration is one too. */
const QUIET_MS = 50
/** Something that never comes to rest is looked at this often all the same. */
const PATIENCE_MS = 1000

/**
 * Calls `changed` when a file that the proxy depends on has changed: a template, the base configuration, a certificate, or
 * a file that one of those has come to mention.
 * @returns stops watching
 */
export async function watchPaths(proxy: Proxy, changed: () => void, log: Logger): Promise<() => Promise<void>> {
  const watched = new Set<string>()
  const watcher = watch([], { ignoreInitial: true, depth: 1, ignored: (path) => path.includes('/.hostler') })
  const complain = (err: unknown) =>
    log.warn({ proxy: proxy.name, err }, 'watching files failed; the next pass looks at them')

  function follow(): void {
    const fresh = proxy.watched().filter((path) => !watched.has(path))
    for (const path of fresh) watched.add(path)
    watcher.add(fresh)
  }

  const settle = whenQuiet(() => {
    try {
      follow()
    } catch (err) {
      complain(err)
    }
    changed()
  })
  const isOurs = (path: string) => watched.has(path) || watched.has(dirname(path))

  watcher.on('all', (event, path) => {
    log.debug({ proxy: proxy.name, event, path }, 'a file that the proxy depends on has changed')
    // Chokidar forgets a file that is gone; added anew it is waited for.
    if (event === 'unlink') watched.delete(path)
    settle.stir()
  })
  // Chokidar drops the second of two changes within 50 ms; its raw events tell both.
  watcher.on('raw', (_event, name, details) => {
    const { watchedPath } = details as { watchedPath: string }
    if (isOurs(basename(watchedPath) === name ? watchedPath : join(watchedPath, name))) settle.stir()
  })
  watcher.on('error', complain)
  const ready = new Promise<void>((resolve) => watcher.once('ready', () => resolve()))
  follow()
  if (watched.size > 0) await ready
  return async () => {
    settle.stop()
    await watcher.close()
  }
}

function whenQuiet(act: () => void): { stir(): void; stop(): void } {
  let timer: NodeJS.Timeout | undefined
  let since = 0
  const fire = () => {
    timer = undefined
    act()
  }
  return {
    stir() {
      if (timer === undefined) since = performance.now()
      else if (performance.now() - since > PATIENCE_MS) return
      clearTimeout(timer)
      timer = setTimeout(fire, QUIET_MS)
    },
    stop: () => clearTimeout(timer),
  }
}
