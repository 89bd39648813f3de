import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { codeOf } from '../../lib/errors.js'

/** A file that takes part in a check. */
export interface CheckedFile {
  /** Its final path: what configurations call it and what messages shall call it. */
  readonly path: string
  /** Where the content to be checked lies now; equals `path` when it is in place already. */
  readonly readPath: string
  /** Given to HAProxy with `-f`, in the order of the list; the others are maps, lists and the like that it refers to. */
  readonly load: boolean
}

/** The set as HAProxy shall read it for a check. */
export interface CheckedSet {
  /** In loading order: the final path, where HAProxy reads it, and its text. */
  readonly loaded: readonly { readonly path: string; readonly readPath: string; readonly text: string }[]
  /** Text with every final path of a staged file replaced by where it lies for this check. */
  toChecked(text: string): string
  /** The way back, for messages. */
  toFinal(text: string): string
}

/**
 * Staged files refer to each other by their final paths, where the old content still lies. So every file that mentions
 * one whose content lies elsewhere is copied into `scratch` with that path replaced; line numbers stay.
 */
export async function prepareSet(files: readonly CheckedFile[], scratch: string): Promise<CheckedSet> {
  const texts = new Map<CheckedFile, string>()
  for (const file of files) texts.set(file, await textOf(file))
  const places = new Map(files.map((file) => [file.path, file.readPath]))
  const mentions = (text: string, path: string) => text.includes(path) && mentionOf([path]).test(text)
  // A copy lies elsewhere in its turn, so whoever mentions it is copied too: until nothing moves any more.
  const copied = new Set<CheckedFile>()
  for (let moved = true; moved; ) {
    moved = false
    for (const [index, file] of files.entries()) {
      if (copied.has(file)) continue
      const text = texts.get(file) ?? ''
      if (![...places].some(([path, place]) => place !== path && path !== file.path && mentions(text, path))) continue
      copied.add(file)
      places.set(file.path, join(scratch, `${index}-${basename(file.path)}`))
      moved = true
    }
  }
  const toChecked = replacer(places)
  for (const file of copied) {
    await writeFile(places.get(file.path) ?? file.readPath, toChecked(texts.get(file) ?? ''))
  }
  return {
    loaded: files
      .filter((file) => file.load)
      .map((file) => ({
        path: file.path,
        readPath: places.get(file.path) ?? file.readPath,
        text: texts.get(file) ?? '',
      })),
    toChecked,
    toFinal: replacer(new Map([...places].map(([path, place]) => [place, path]))),
  }
}

/** A file that cannot be read is left to HAProxy, which says so better. */
async function textOf(file: CheckedFile): Promise<string> {
  try {
    return await readFile(file.readPath, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'EISDIR') return ''
    throw error
  }
}

function replacer(names: ReadonlyMap<string, string>): (text: string) => string {
  const moved = [...names].filter(([from, to]) => from !== to)
  if (moved.length === 0) return (text) => text
  const pattern = mentionOf(moved.map(([from]) => from))
  return (text) => text.replace(pattern, (path) => names.get(path) ?? path)
}

/** These paths as whole words: not inside a longer path, and not as the start of a longer name. */
function mentionOf(paths: readonly string[]): RegExp {
  const longestFirst = [...paths].sort((a, b) => b.length - a.length).map(escapeRegExp)
  return new RegExp(`(?<![\\w./-])(?:${longestFirst.join('|')})(?![\\w/-]|\\.\\w)`, 'g')
}

const escapeRegExp = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
