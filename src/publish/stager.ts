import { readdir, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Logger } from '../lib/logger.js'
import { attempt, unless } from './failure.js'
import { type Attributes, attributesOf, contentOf } from './target.js'
import { makeFolder, syncFolder, writeFresh } from './write.js'

/** The folder beside every target: on its file system, so that a rename is atomic. */
export const STAGE_FOLDER = '.hostler'
/** No proxy loads a name that ends so. */
const SUFFIX = '.new'

/** What is to lie at a resolved target; without `content` nothing. The attributes are for a file that is not there yet. */
export interface Wish extends Attributes {
  readonly path: string
  readonly target: string
  readonly content?: Buffer | string
}

/** A wish that the disk does not fulfil. */
export interface Change {
  readonly wish: Wish
  /** What lies at the target; undefined when nothing does. */
  readonly now?: Attributes
  /** Where the new content lies or will lie; undefined for a removal. */
  readonly staged?: string
}

/** The wishes that the disk does not fulfil. `tag` keeps the staged names of two rounds apart. */
export async function compare(wishes: readonly Wish[], tag: string): Promise<Change[]> {
  const changes = await Promise.all(wishes.map((wish) => changeFor(wish, tag)))
  return changes.filter((change) => change !== undefined)
}

async function changeFor(wish: Wish, tag: string): Promise<Change | undefined> {
  const { target, content } = wish
  const now = await attributesOf(target)
  if (content === undefined) return now && { wish, now }
  if (now && now.size === Buffer.byteLength(content) && (await contentOf(target)).equals(toBuffer(content))) return
  const staged = join(stageFolderOf(target), `${basename(target)}.${tag}${SUFFIX}`)
  return now ? { wish, now, staged } : { wish, staged }
}

const toBuffer = (content: Buffer | string) => (typeof content === 'string' ? Buffer.from(content) : content)
export const stageFolderOf = (target: string) => join(dirname(target), STAGE_FOLDER)
export const stageFolders = (changes: readonly Change[]): string[] => [
  ...new Set(changes.filter((change) => change.staged).map((change) => stageFolderOf(change.wish.target))),
]

/** Staged files, until they are moved or dropped. */
export interface Staged {
  /** Resolves when they are on the disk, and so are their names. */
  readonly synced: Promise<void>
  /** Deletes what is still staged. */
  drop(): Promise<void>
  /** The same, and removes the folders that were made for it. */
  undo(): Promise<void>
}

export interface Stager {
  /** Writes every changed file beside its target, all or none. */
  write(changes: readonly Change[]): Promise<Staged>
  /** Deletes what a killed predecessor staged beside files in `folder`. */
  sweep(folder: string): Promise<void>
}

export function createStager(log: Logger): Stager {
  const warned = new Set<string>()

  /** @returns what resolves when it is on the disk */
  async function writeOne({ wish, now, staged }: Change): Promise<(() => Promise<void>) | undefined> {
    if (staged === undefined || wish.content === undefined) return undefined
    const { ownerKept, synced } = await writeFresh(staged, wish.content, now ?? wish)
    if (!ownerKept) warnOnce(wish)
    return () => synced
  }

  function warnOnce(wish: Wish): void {
    if (warned.has(wish.path)) return
    warned.add(wish.path)
    log.warn(
      { path: wish.path },
      'this file belonged to somebody else, and becomes ours; run as root to keep its owner',
    )
  }

  return {
    async write(changes) {
      const made: string[] = []
      const drop = () => dropStaged(changes)
      const undo = () => drop().then(() => removeEmpty(made))
      try {
        for (const folder of stageFolders(changes)) made.unshift(...(await makeFolder(folder)))
        const written = await allOf(changes.map(writeOne))
        // While it is looked at whether the proxy will have them.
        const syncs = [...written.map((file) => file?.()), ...stageFolders(changes).map(syncFolder)]
        const synced = allOf(syncs).then(NOTHING)
        const ended = synced.catch(NOTHING)
        return { synced, drop: () => ended.then(drop), undo: () => ended.then(undo) }
      } catch (error) {
        await undo()
        throw error
      }
    },
    async sweep(folder) {
      await attempt(`clearing ${folder}`, async () => {
        const names = (await unless(['ENOENT', 'ENOTDIR'], () => readdir(folder))) ?? []
        await Promise.all(names.filter((name) => name.endsWith(SUFFIX)).map((name) => rm(join(folder, name))))
      })
    },
  }
}

const NOTHING = () => undefined

/** Like Promise.all, but returns only when nothing is under way any more. */
async function allOf<T>(work: readonly (T | Promise<T>)[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(work)
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed) throw failed.reason
  return Promise.all(work)
}

// What cannot be deleted now is swept by the next start.
async function dropStaged(changes: readonly Change[]): Promise<void> {
  await Promise.allSettled(changes.map(({ staged }) => staged && rm(staged, { force: true })))
}

async function removeEmpty(folders: readonly string[]): Promise<void> {
  for (const folder of folders) await rmdir(folder).catch(() => undefined)
}
