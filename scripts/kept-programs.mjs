// Programs that the tests need and no package of this machine's release has: each in a folder of its own below the user's
// cache folder, made once and kept, by however many runs at once.
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

export const toStderr = (line) => process.stderr.write(`${line}\n`)

export const cacheFolder = () => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hostler')

const BUILDING = '.building-'
const ABANDONED_MS = 3_600_000

/** Gives `use` a folder beside those that are kept, so that what is made there can be renamed. */
export async function makeIn(cache, use) {
  mkdirSync(cache, { recursive: true })
  for (const name of readdirSync(cache).filter((name) => name.startsWith(BUILDING))) removeAbandoned(join(cache, name))
  const building = mkdtempSync(join(cache, BUILDING))
  try {
    await use(building)
  } finally {
    rmSync(building, { recursive: true, force: true })
  }
}

/** What a run that was killed has left; of two runs that see it one is second. */
function removeAbandoned(path) {
  const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {}
  if (mtimeMs !== undefined && Date.now() - mtimeMs > ABANDONED_MS) rmSync(path, { recursive: true, force: true })
}

/** Whoever is first is kept, unless what is there does not work. */
export async function keep(made, folder, worksThere) {
  try {
    renameSync(made, folder)
  } catch (error) {
    if (await worksThere()) return
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    rmSync(folder, { recursive: true, force: true })
    renameSync(made, folder)
  }
}

/** The last that a program said, or what went wrong before it could. */
export const reasonOf = ({ stderr, message }) => (stderr || message).trim().split('\n').at(-1)
