import { dirname, isAbsolute, join } from 'node:path'
import { HostlerError } from '../lib/errors.js'
import type { RenderedFile } from './files.js'
import type { Manifest } from './journal.js'
import { type Change, STAGE_FOLDER, type Wish } from './stager.js'
import { contentOf, resolveTarget } from './target.js'

/** Resolves where each file goes; throws when two go to the same place, or there is none at all. */
export async function wishesFor(files: readonly RenderedFile[]): Promise<Wish[]> {
  if (files.length === 0)
    throw new HostlerError('PUBLISH', 'there is no file to publish; an empty set would remove all')
  const wishes = await Promise.all(files.map(wishFor))
  const byTarget = new Map<string, string>()
  for (const { target, path } of wishes) {
    const other = byTarget.get(target)
    if (other !== undefined) throw sameTarget(other, path)
    byTarget.set(target, path)
  }
  return wishes
}

async function wishFor({ path, content, mode = 0o644 }: RenderedFile): Promise<Wish> {
  if (!isAbsolute(path)) throw new HostlerError('PUBLISH', `${path} is to be written, but is not an absolute path`)
  return { path, target: await resolveTarget(path), content, mode }
}

const sameTarget = (one: string, other: string) =>
  new HostlerError('PUBLISH', `${one} and ${other} are the same file; give each a path of its own`)

/** That the files of an earlier set go which `wishes` has not. */
export function farewells(manifest: Manifest, wishes: readonly Wish[]): Wish[] {
  const targets = new Set(wishes.map((wish) => wish.target))
  return manifest.files
    .filter((target) => !targets.has(target))
    .map((target) => ({ path: target, target, mode: 0o644 }))
}

/** What to wish for so that a change is undone. */
export async function previously({ wish: { path, target }, now }: Change): Promise<Wish> {
  return now ? { path, target, ...now, content: await contentOf(target) } : { path, target, mode: 0o644 }
}

export const manifestOf = (wishes: readonly Wish[]): Manifest => ({
  files: unique(wishes.map((wish) => wish.target)),
  folders: unique(wishes.map((wish) => join(dirname(wish.target), STAGE_FOLDER))),
})

export const withFolders = (manifest: Manifest, folders: readonly string[]): Manifest => ({
  ...manifest,
  folders: unique([...manifest.folders, ...folders]),
})

const unique = (paths: readonly string[]) => [...new Set(paths)].sort()
