import { readFileSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { createWallClock } from './wall-clock.mjs'

/**
 * Sees when files of a folder get the content that they are waited for. They are renamed into place, so each has all of
 * it from one moment on, and that moment is inotify's; what reads the file afterwards does not count.
 */
export function watchFolder(folder) {
  const waits = new Set()
  let wallMs = createWallClock()
  const watcher = watch(folder, (_event, name) => {
    const at = wallMs()
    for (const wait of waits) wait.look(name, at)
  })

  /**
   * @param {Record<string, (text: string) => boolean>} wanted file name → whether that is the content; called before the
   *   change is made
   * @returns {Promise<{ at: number, renamedAt: number }>} when the last of them had it: as inotify said it, and as the
   *   file system stamped it (no finer than the kernel's tick), both in milliseconds since the epoch
   */
  function until(wanted, timeoutMs = 30_000) {
    const open = new Set(Object.keys(wanted))
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer)
        waits.delete(wait)
        settle(value)
      }
      const timer = setTimeout(
        () => finish(reject, new Error(`gave up waiting for ${[...open].join(', ')} in ${folder}`)),
        timeoutMs,
      )
      const wait = {
        look(name, at) {
          if (!open.has(name) || !wanted[name](textOf(join(folder, name)))) return
          open.delete(name)
          if (open.size > 0) return
          const renamedAt = Number(statSync(join(folder, name), { bigint: true }).ctimeNs) / 1e6
          finish(resolve, { at, renamedAt })
        },
      }
      waits.add(wait)
    })
  }
  return {
    until,
    recalibrate() {
      wallMs = createWallClock()
    },
    close: () => watcher.close(),
  }
}

function textOf(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
