import { readFile, rename, rm, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Logger } from '../lib/logger.js'
import { attempt, unless } from './failure.js'
import { syncFolder, writeSynced } from './write.js'

/** One thing that a commit does: moves a staged file onto its target, or (no `staged`) removes the target. */
export interface Step {
  readonly target: string
  readonly staged?: string
}

/** What is ours on disk: every file that we put there, and every folder in which we staged something. */
export interface Manifest {
  readonly files: readonly string[]
  readonly folders: readonly string[]
}

/** The promise to put a set in place: once it is on disk, the set will be, however often we are killed. */
export interface Journal {
  readonly steps: readonly Step[]
  readonly manifest: Manifest
}

export const writeJournal = (folder: string, journal: Journal) => writeJson(folder, 'journal.json', journal)
export const writeManifest = (folder: string, manifest: Manifest) => writeJson(folder, 'manifest.json', manifest)

export async function readJournal(folder: string, log: Logger): Promise<Journal | undefined> {
  const found = (await readJson(folder, 'journal.json', log)) as Partial<Journal> | undefined
  if (!found || !Array.isArray(found.steps) || !found.steps.every(isStep)) return undefined
  return { steps: found.steps, manifest: toManifest(found.manifest) }
}

export const readManifest = async (folder: string, log: Logger): Promise<Manifest> =>
  toManifest(await readJson(folder, 'manifest.json', log))

export async function deleteJournal(folder: string): Promise<void> {
  const path = join(folder, 'journal.json')
  await attempt(`removing ${path}`, () => unless(['ENOENT'], () => unlink(path)))
}

async function writeJson(folder: string, name: string, content: unknown): Promise<void> {
  const path = join(folder, name)
  const next = `${path}.new`
  try {
    await writeSynced(next, JSON.stringify(content), { mode: 0o644 })
    await attempt(`writing ${path}`, () => rename(next, path))
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(next, { force: true }).catch(() => undefined)
    throw error
  }
}

async function readJson(folder: string, name: string, log: Logger): Promise<unknown> {
  const path = join(folder, name)
  const text = await attempt(`reading ${path}`, () => unless(['ENOENT'], () => readFile(path, 'utf8')))
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch (err) {
    // It is only ever renamed into place whole, so somebody else wrote this.
    log.warn({ path, err }, 'a file of our own is not JSON and is ignored')
    return undefined
  }
}

const isText = (value: unknown): value is string => typeof value === 'string'
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.filter(isText) : [])

function toManifest(value: unknown): Manifest {
  const { files, folders } = (value ?? {}) as Partial<Record<keyof Manifest, unknown>>
  return { files: texts(files), folders: texts(folders) }
}

function isStep(value: unknown): value is Step {
  const { target, staged } = (value ?? {}) as Partial<Step>
  return isText(target) && (staged === undefined || isText(staged))
}
