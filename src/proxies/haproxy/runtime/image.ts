import { basename } from 'node:path'
import { type ConfigFile, type Layout, layOut } from './image-layout.js'
import { NeedsReload } from './image-reload.js'
import {
  createSectionReader,
  firstDifference,
  type Section,
  type SectionReader,
  showLine,
  titleOf,
} from './sections.js'
import type { ConfigImage } from './types.js'

/** The roles of the files that HAProxy reads; every other file in an image is one that it reads only when it loads. */
export interface FileRoles {
  /** In the order of `-f`. */
  readonly configs: readonly string[]
  readonly maps: readonly string[]
  /** crt-lists. */
  readonly lists: readonly string[]
  readonly certificates: readonly string[]
}

/** Takes the configurations of an image apart. What did not change since one of the last calls is not read again. */
export type ImageReader = (image: ConfigImage, configs: readonly string[]) => Layout

const KEPT_LAYOUTS = 3

export function createImageReader(): ImageReader {
  const readers = new Map<string, SectionReader>()
  let recent: { files: readonly ConfigFile[]; layout: Layout }[] = []
  const readerOf = (path: string): SectionReader => {
    const reader = readers.get(path) ?? createSectionReader()
    readers.set(path, reader)
    return reader
  }
  return (image, configs) => {
    const files = configs.map((path): ConfigFile => {
      const text = image.get(path) ?? ''
      return { path, text, sections: readerOf(path)(text) }
    })
    for (const path of readers.keys()) if (!configs.includes(path)) readers.delete(path)
    const same = recent.find((one) => areSame(one.files, files))
    const newest = same ?? { files, layout: layOut(files, recent[0]) }
    recent = [newest, ...recent.filter((one) => one !== newest)].slice(0, KEPT_LAYOUTS)
    return newest.layout
  }
}

const areSame = (before: readonly ConfigFile[], after: readonly ConfigFile[]): boolean =>
  before.length === after.length &&
  before.every(({ path, text }, index) => path === after[index]?.path && text === after[index]?.text)

/**
 * Files that are neither maps, crt-lists nor certificates are read only when HAProxy loads, and a configuration that was
 * not there then is not part of it.
 * @throws NeedsReload
 */
export function requireSameFiles(loaded: ConfigImage, wanted: ConfigImage, roles: FileRoles): void {
  const changeable = new Set([...roles.lists, ...roles.certificates, ...roles.certificates.map(keyFileOf)])
  const configs = new Set(roles.configs)
  const maps = new Set(roles.maps)
  for (const path of new Set([...loaded.keys(), ...wanted.keys()])) {
    if (changeable.has(path)) continue
    const [before, after] = [loaded.get(path), wanted.get(path)]
    if (after === undefined && isListed(path.replace(/\.key$/, ''), loaded, roles)) continue
    if (after === undefined) throw new NeedsReload(`${basename(path)} is gone`)
    if (before === undefined) throw new NeedsReload(`${basename(path)} is new`)
    if (before !== after && !configs.has(path) && !maps.has(path)) {
      throw new NeedsReload(`${basename(path)} has changed`)
    }
  }
}

/** A certificate that HAProxy knows by a crt-list alone: the list decides over it, whether its file is there or not. */
const isListed = (path: string, loaded: ConfigImage, { lists, configs }: FileRoles): boolean =>
  lists.some((list) => loaded.get(list)?.split(/\s/).includes(path)) &&
  !configs.some((config) => loaded.get(config)?.includes(path))

/** Where HAProxy looks for the private key of a certificate that does not hold it. */
export const keyFileOf = (path: string): string => `${path}.key`

/** @throws NeedsReload when anything but plain backends differs */
export function requireSameFrame(loaded: Layout, wanted: Layout): void {
  for (let index = 0; index < Math.max(loaded.frame.length, wanted.frame.length); index++) {
    const [before, after] = [loaded.frame[index], wanted.frame[index]]
    if (before !== undefined && after !== undefined && areEqual(before, after)) continue
    throw new NeedsReload(frameReason(before, after, loaded.frame))
  }
}

export const areEqual = (a: Section, b: Section): boolean =>
  a === b ||
  (a.kind === b.kind &&
    a.name === b.name &&
    a.rest === b.rest &&
    a.lines.length === b.lines.length &&
    a.lines.every((line, index) => line === b.lines[index]))

function frameReason(before: Section | undefined, after: Section | undefined, frame: readonly Section[]): string {
  if (after === undefined) return before ? `${titleOf(before)} is gone` : 'a section is gone'
  const earlier = frame.find(({ kind, name }) => kind === after.kind && name === after.name)
  if (before === undefined || earlier === undefined) return `${titleOf(after)} is new`
  if (titleOf(before) !== titleOf(after)) return `${titleOf(after)} stands in another place`
  const line = firstDifference(before.lines, after.lines)
  return line === undefined ? `${titleOf(after)} has changed` : `${titleOf(after)} has changed: ${showLine(line)}`
}
