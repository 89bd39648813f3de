import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../../lib/errors.js'

/** Tells whether anything that HAProxy loads has changed since it loaded it. */
export interface Fingerprint {
  /**
   * One hash over the content of these files and of the files in these folders (one level, as HAProxy reads a `crt`
   * folder). A path that is missing is part of it. Unchanged files are not read again. Throws when a file cannot be read.
   */
  of(paths: readonly (string | Replacement)[]): Promise<string>
}

/** Stands for `path` as it will be once the file at `readPath` has taken its place, or holds `content`. */
export type Replacement =
  | { readonly path: string; readonly readPath: string }
  | { readonly path: string; readonly content: string }

/** Changes within the clock tick of a file system keep size and time; younger files are therefore always read. */
const SETTLED_MS = 2000

export function createFingerprint(now: () => number = Date.now): Fingerprint {
  // Two generations, since one round looks at staged files and the next at the same ones in place.
  let known = new Map<string, Known>()
  let older = known

  async function hashOf(path: string, stats: BigIntStats): Promise<Known> {
    const version = `${stats.mtimeNs} ${stats.ctimeNs} ${stats.size} ${stats.ino}`
    const cached = known.get(path) ?? older.get(path)
    if (cached?.version === version) return cached
    const settled = now() - Number(stats.mtimeMs) > SETTLED_MS
    const hash = hashText(await readFile(path))
    return { hash, version: settled ? version : '' }
  }

  return {
    async of(paths) {
      const files = (await Promise.all(paths.map(filesAt))).flat()
      const next = new Map<string, Known>()
      const whole = createHash('sha256')
      for (const file of files) {
        const { path } = file
        if ('content' in file) {
          whole.update(`${hashText(file.content)} ${path}\n`)
          continue
        }
        const { readPath } = file
        const stats = await statOf(readPath)
        if (stats === undefined) whole.update(`missing ${path}\n`)
        else if (stats.isFile()) {
          const entry = await hashOf(readPath, stats)
          next.set(readPath, entry)
          whole.update(`${entry.hash} ${path}\n`)
        }
      }
      older = known
      known = next
      return whole.digest('hex')
    },
  }
}

const hashText = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex')

interface Known {
  readonly hash: string
  /** Empty while the file is too young for its stamps to be trusted. */
  readonly version: string
}

async function filesAt(where: string | Replacement): Promise<Replacement[]> {
  if (typeof where !== 'string') return [where]
  const stats = await statOf(where)
  if (stats === undefined || !stats.isDirectory()) return [{ path: where, readPath: where }]
  const names = (await readdir(where)).sort()
  return names.map((name) => join(where, name)).map((path) => ({ path, readPath: path }))
}

async function statOf(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true })
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}
