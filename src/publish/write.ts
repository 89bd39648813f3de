import { chmod, type FileHandle, mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../lib/errors.js'
import { attempt, unless } from './failure.js'
import type { Attributes } from './target.js'

/** Writes a new file that is on the disk, with these attributes, when it returns. */
export async function writeSynced(path: string, content: Buffer | string, attributes: Attributes): Promise<void> {
  const { synced } = await writeFresh(path, content, attributes)
  await synced
}

/** Writes a new file that anybody can read when it returns, and that is on its way to the disk. */
export async function writeFresh(path: string, content: Buffer | string, attributes: Attributes): Promise<FreshFile> {
  const what = `writing ${path}`
  // Nobody else reads it before it has its own mode: it may hold a password.
  const file = await attempt(what, () => open(path, 'w', 0o600))
  try {
    const ownerKept = await attempt(what, () => fill(file, content, attributes))
    const synced = attempt(what, () => file.sync()).finally(() => file.close())
    // Whoever gives it up does not ask.
    synced.catch(() => undefined)
    return { ownerKept, synced }
  } catch (error) {
    await file.close()
    throw error
  }
}

export interface FreshFile {
  /** False when we may not give the file to its previous owner. */
  readonly ownerKept: boolean
  /** Resolves when it is on the disk. */
  readonly synced: Promise<void>
}

async function fill(file: FileHandle, content: Buffer | string, attributes: Attributes): Promise<boolean> {
  await file.writeFile(content)
  const ownerKept = await keepOwner(file, attributes)
  // After chown, which clears set-id bits; and explicit, since open() obeys the umask.
  await file.chmod(attributes.mode)
  return ownerKept
}

/** For a file that cannot be replaced: readers may see it half written. */
export async function overwrite(path: string, content: Buffer): Promise<void> {
  await withFile(path, 'r+', async (file) => {
    let written = 0
    while (written < content.length) {
      written += (await file.write(content, written, content.length - written, written)).bytesWritten
    }
    await file.truncate(content.length)
    await file.sync()
  })
}

/** Makes renames and removals in a folder survive a power cut. A folder that is gone has none. */
export async function syncFolder(path: string): Promise<void> {
  await attempt(`syncing ${path}`, () =>
    unless(['ENOENT'], () =>
      // Some network file systems cannot sync a folder: they need not.
      withFile(path, 'r', (folder) => unless(['EINVAL', 'ENOTSUP', 'EISDIR'], () => folder.sync())),
    ),
  )
}

/** Makes a folder and its missing parents, 0755 whatever the umask; returns those it made, the innermost first. */
export async function makeFolder(path: string): Promise<string[]> {
  // Not `recursive`, which answers ENOENT for a read-only file system.
  const made = await attempt(`making folder ${path}`, () => unless(['ENOENT'], () => makeOne(path)))
  if (made !== undefined) return made
  const parents = await makeFolder(dirname(path))
  return [...(await attempt(`making folder ${path}`, () => makeOne(path))), ...parents]
}

async function makeOne(path: string): Promise<string[]> {
  try {
    await mkdir(path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && (await stat(path)).isDirectory()) return []
    throw error
  }
  await chmod(path, 0o755)
  await syncFolder(dirname(path))
  return [path]
}

async function keepOwner(file: FileHandle, { owner }: Attributes): Promise<boolean> {
  if (owner === undefined) return true
  const now = await file.stat()
  if (now.uid === owner.uid && now.gid === owner.gid) return true
  const done = await unless(['EPERM', 'EINVAL', 'ENOTSUP', 'ENOSYS'], async () => {
    await file.chown(owner.uid, owner.gid)
    return true
  })
  return done ?? false
}

async function withFile<T>(path: string, flags: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags)
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}
