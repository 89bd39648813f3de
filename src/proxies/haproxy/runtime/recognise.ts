import { lstat, readdir, readlink, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { codeOf } from '../../../lib/errors.js'
import { imagePaths, type LoadedFiles, readImage } from './read-image.js'
import type { ConfigImage, WorkerKey } from './types.js'

/**
 * What a worker has loaded that somebody else started or reloaded, when that is certain: it began after the last change of
 * every file, so it has read them as they are. What was changed in it since then, HAProxy itself tells.
 *
 * Limit: a whole folder that was moved to where another one was keeps the times of its files.
 */
export async function recognise(worker: WorkerKey, files: LoadedFiles): Promise<ConfigImage | undefined> {
  const { startedAt } = worker
  if (startedAt === undefined || (await hasOthers(files.configs))) return undefined
  const changedAt = await lastChange(await imagePaths(files))
  if (changedAt === undefined || changedAt + COARSE_MS > startedAt) return undefined
  const { image } = await readImage(files)
  const since = await lastChange(await imagePaths(files))
  return since === changedAt ? image : undefined
}

/** File systems stamp with the time of the last tick of the kernel's clock, 1 to 10 ms ago. */
const COARSE_MS = 20

/** HAProxy that was started with `-f FOLDER` has read whatever lies there. */
async function hasOthers(configs: readonly string[]): Promise<boolean> {
  const folders = new Set(configs.map((path) => dirname(path)))
  const known = new Set(configs)
  for (const folder of folders) {
    const names = await readdir(folder).catch(() => [])
    if (names.some((name) => name.endsWith('.cfg') && !known.has(join(folder, name)))) return true
  }
  return false
}

/** Milliseconds since the epoch; undefined when a file is not there. */
async function lastChange(paths: readonly string[]): Promise<number | undefined> {
  try {
    return Math.max(...(await Promise.all(paths.map((path) => changeOf(path, MAX_LINKS)))))
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

const MAX_LINKS = 40

/** Of the file, and of each symbolic link on the way to it: a link that was turned to an older file is a change too. */
async function changeOf(path: string, links: number): Promise<number> {
  if (links === 0) return Number.POSITIVE_INFINITY
  const words = path.split('/').slice(1)
  let folder = '/'
  for (const [index, word] of words.entries()) {
    const here = join(folder, word)
    const stats = await lstat(here)
    if (stats.isSymbolicLink()) {
      const target = join(resolve(folder, await readlink(here)), ...words.slice(index + 1))
      return Math.max(stats.ctimeMs, await changeOf(target, links - 1))
    }
    folder = here
  }
  const stats = await stat(path)
  if (!stats.isDirectory()) return stats.ctimeMs
  const entries = await readdir(path)
  return Math.max(stats.ctimeMs, ...(await Promise.all(entries.map((name) => changeOf(join(path, name), links - 1)))))
}
