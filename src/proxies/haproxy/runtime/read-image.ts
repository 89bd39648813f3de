import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../../../lib/errors.js'
import { type FileRoles, keyFileOf } from './image.js'
import type { ConfigImage } from './types.js'

/** What HAProxy reads when it loads its configuration. */
export interface LoadedFiles {
  /** Passed with `-f`, in this order. */
  readonly configs: readonly string[]
  /** What those refer to: maps, certificates, error files. Missing ones count too. */
  readonly others: readonly string[]
  /** Those of the others that are certificates. */
  readonly certificates: readonly string[]
}

/** Undefined for a file that is not there. */
export type ReadText = (path: string) => Promise<string | undefined>

/** The files of one load, and what each is to HAProxy. */
export interface ReadImage {
  readonly image: ConfigImage
  readonly roles: FileRoles
}

/**
 * Reads what HAProxy reads: the configurations and whatever they refer to. A file that nothing refers to (a map for routes
 * that nobody has) is no part of it.
 * @param textOf gives what a file holds, or will hold once it is in place
 */
export async function readImage(files: LoadedFiles, textOf: ReadText = textOnDisk): Promise<ReadImage> {
  const read = async (path: string): Promise<readonly [string, string] | undefined> => {
    const text = await textOf(path)
    return text === undefined ? undefined : [path, text]
  }
  const configs = await Promise.all(files.configs.map(read))
  const texts = configs.filter((file) => file !== undefined).map(([, text]) => text)
  const others = await Promise.all([...othersIn(texts, files), ...files.certificates.map(keyFileOf)].map(read))
  const image = new Map([...configs, ...others].filter((file) => file !== undefined))
  const named = (pattern: (path: string) => RegExp) =>
    [...image.keys()].filter((path) => texts.some((text) => text.includes(path) && pattern(path).test(text)))
  const roles = {
    configs: files.configs,
    maps: named((path) => new RegExp(`map(?:_\\w+)?\\(\\s*${literal(path)}`)),
    lists: named((path) => new RegExp(`crt-list\\s+['"]?${literal(path)}`)),
    certificates: files.certificates.filter((path) => image.has(path)),
  }
  return { image, roles }
}

/** The files on disk that an image holds, but key files that are not there: HAProxy does not need them. */
export async function imagePaths(files: LoadedFiles): Promise<string[]> {
  const texts = await Promise.all(files.configs.map(textOnDisk))
  const others = othersIn(
    texts.filter((text) => text !== undefined),
    files,
  )
  return [...files.configs, ...others, ...files.certificates.map(keyFileOf).filter((path) => existsSync(path))]
}

function othersIn(texts: readonly string[], files: LoadedFiles): string[] {
  const certificates = new Set(files.certificates)
  return files.others.filter((path) => certificates.has(path) || texts.some((text) => text.includes(path)))
}

const literal = (path: string): string => path.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

export const textOnDisk: ReadText = async (path) => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    if (codeOf(error) === 'EISDIR') return textOfFolder(path)
    throw error
  }
}

/** A folder of certificates or error files, as one text: any change in it is a change of the whole. */
async function textOfFolder(path: string): Promise<string> {
  const names = (await readdir(path)).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(path, name), 'utf8').catch(() => '')))
  return names.map((name, index) => `${name}\n${texts[index]}`).join('\n')
}
