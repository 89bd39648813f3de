import { basename, dirname, resolve } from 'node:path'
import { globSync, isDynamicPattern } from 'tinyglobby'
import { HostlerError } from '../../../lib/errors.js'
import { didYouMean } from '../../../lib/nearest.js'
import type { ContainerNodes } from './built-in.js'
import type { Watched } from './watching.js'

/** A policy that the settings name. */
export type Wanted =
  | { readonly name: string; readonly path: string }
  | { readonly name: string; readonly builtIn: ContainerNodes }

/** A pattern of files, which may come later. */
export interface Glob {
  readonly pattern: string
  /** Where they would come. */
  readonly watched: Watched
}

/**
 * What one word of the setting names.
 * @throws HostlerError `CONFIG` for what can be neither a policy nor files of them
 */
export function readWanted(text: string, builtIns: readonly ContainerNodes[]): Wanted | Glob {
  const known = builtIns.find(({ name }) => name === text)
  if (known) return { name: known.name, builtIn: known }
  const names = builtIns.map(({ name }) => name)
  if (!/[/.*]/.test(text))
    throw new HostlerError(
      'CONFIG',
      `no policy is called "${text}" (HOSTLER_POLICIES).${didYouMean(text, names)} Built in are ${names.join(', ')}; a file needs its path, with .js or .ts`,
    )
  if (isDynamicPattern(text)) return { pattern: text, watched: watchedBy(text) }
  if (!isModule(text)) throw new HostlerError('CONFIG', `policy ${text} (HOSTLER_POLICIES) is no .js or .ts file`)
  return inFile(resolve(text))
}

export const filesOf = ({ pattern }: Glob): Wanted[] =>
  globSync(pattern, { absolute: true }).filter(isModule).sort().map(inFile)

export const isModule = (path: string): boolean => /\.m?[jt]s$/.test(path) && !path.endsWith('.d.ts')

const inFile = (path: string): Wanted => ({ name: basename(path).replace(/\.m?[jt]s$/, ''), path })

function watchedBy(pattern: string): Watched {
  const fixed = pattern.slice(0, pattern.search(/[*?[\]{}()!]/))
  const open = pattern.slice(fixed.lastIndexOf('/') + 1)
  return {
    paths: [resolve(dirname(`${fixed}x`))],
    ...(!open.includes('**') && { depth: open.split('/').length - 1 }),
  }
}
