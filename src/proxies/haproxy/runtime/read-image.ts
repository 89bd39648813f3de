import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../../../lib/errors.js'
import { type FileRoles, keyFileOf } from './image.js'
import type { ConfigImage } from './types.js'

/** The files of one load, and what each is to HAProxy. */
export interface ReadImage {
  readonly image: ConfigImage
  readonly roles: FileRoles
}

/**
 * Reads what HAProxy reads: the configurations and whatever they refer to. A file that nothing refers to (a map for routes
 * that nobody has) is no part of it.
 * @param staged path → where its new content lies, for files that are not in place yet
 */
export async function readImage(
  files: {
    readonly configs: readonly string[]
    readonly others: readonly string[]
    readonly certificates: readonly string[]
  },
  staged: ReadonlyMap<string, string> = new Map(),
): Promise<ReadImage> {
  const read = async (path: string): Promise<readonly [string, string] | undefined> => {
    const text = await textOf(staged.get(path) ?? path)
    return text === undefined ? undefined : [path, text]
  }
  const configs = await Promise.all(files.configs.map(read))
  const texts = configs.filter((file) => file !== undefined).map(([, text]) => text)
  const certificates = new Set(files.certificates)
  const isMentioned = (path: string) => certificates.has(path) || texts.some((text) => text.includes(path))
  const paths = [...files.others.filter(isMentioned), ...files.certificates.map(keyFileOf)]
  const others = await Promise.all(paths.map(read))
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

const literal = (path: string): string => path.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

async function textOf(path: string): Promise<string | undefined> {
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
