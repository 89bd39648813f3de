import type { Stats } from 'node:fs'
import { lstat, readFile, readlink, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { HostlerError } from '../lib/errors.js'
import { attempt, unless } from './failure.js'

/** Mode (permission bits) and owner of a file; an owner of undefined is whoever writes it. */
export interface Attributes {
  readonly mode: number
  readonly owner?: { readonly uid: number; readonly gid: number }
}

/** The file that a path means: what its symbolic links lead to, whether or not that exists yet. */
export async function resolveTarget(path: string): Promise<string> {
  return attempt(`finding ${path}`, async () => {
    let target = path
    for (let links = 0; links < 40; links++) {
      target = await resolveFolder(target)
      const found = await unless(['ENOENT'], () => lstat(target))
      if (!found?.isSymbolicLink()) return target
      target = resolve(dirname(target), await readlink(target))
    }
    throw Object.assign(new Error(`too many symbolic links from ${path}`), { code: 'ELOOP' })
  })
}

async function resolveFolder(path: string): Promise<string> {
  const folder = await unless(['ENOENT'], () => realpath(dirname(path)))
  return folder === undefined ? path : join(folder, basename(path))
}

/** What lies at a resolved target now; undefined when nothing does. */
export async function attributesOf(target: string): Promise<(Attributes & { size: number }) | undefined> {
  const found = await attempt(`looking at ${target}`, () => unless(['ENOENT'], () => stat(target)))
  if (!found) return undefined
  if (!found.isFile()) throw notAFile(target, found)
  return { mode: found.mode & 0o7777, owner: { uid: found.uid, gid: found.gid }, size: found.size }
}

export const contentOf = (target: string): Promise<Buffer> => attempt(`reading ${target}`, () => readFile(target))

function notAFile(target: string, found: Stats): HostlerError {
  const what = found.isDirectory() ? 'a folder' : 'not a regular file'
  return new HostlerError(
    'PUBLISH',
    `${target} is to be written, but is ${what}; move it away, or choose another path (a missing file that is mounted into a container shows up as a folder)`,
  )
}
