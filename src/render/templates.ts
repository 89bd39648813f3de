import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codeOf, HostlerError } from '../lib/errors.js'
import {
  type CompiledTemplates,
  type CompileOptions,
  compileTemplates,
  type RenderedText,
  type TemplateSource,
} from './compile.js'

/** Where the templates that come with Hostler lie. */
export const PACKAGED_TEMPLATES = fileURLToPath(new URL('../../templates', import.meta.url))

/** The templates of one proxy: the packaged folder with the user's laid over it, compiled anew when a file changed. */
export interface Templates {
  /** @throws HostlerError `TEMPLATE` */
  render(context: object): RenderedText[]
  /** The folders to watch. */
  readonly folders: readonly string[]
}

/**
 * @param proxy name of the folder in both: `haproxy`, `traefik`
 * @param overlay the user's folder. A file there replaces ours of that name or adds one; it may hold a folder per proxy
 *   or, for a user of one proxy, the files themselves.
 */
export function createTemplates(proxy: string, overlay: string, packaged = PACKAGED_TEMPLATES): Templates {
  const folders = [join(packaged, proxy), ...(overlay === '' ? [] : [overlay, join(overlay, proxy)])]
  const compiled = followFolders(folders)
  return { folders, render: (context) => compiled().render(context) }
}

/**
 * The templates in folders that are laid one over the other, compiled anew when a file changed.
 * @param folders only the first, our own, must exist
 * @returns what looks at the folders and gives what is in them now. @throws HostlerError `TEMPLATE`
 */
export function followFolders(folders: readonly string[], options: CompileOptions = {}): () => CompiledTemplates {
  let seen = ''
  let compiled: CompiledTemplates | undefined
  return () => {
    const files = overlaid(folders)
    const version = [...files.values()].map(stamp).join('\n')
    if (compiled === undefined || version !== seen) {
      compiled = compileTemplates([...files].sort(byName).map(read), options)
      seen = version
    }
    return compiled
  }
}

const byName = ([a]: [string, string], [b]: [string, string]): number => (a < b ? -1 : 1)

/** File name → path, later folders winning. Only the first, our own, must exist. */
function overlaid(folders: readonly string[]): Map<string, string> {
  const files = new Map<string, string>()
  folders.forEach((folder, index) => {
    for (const file of listTemplates(folder, index === 0)) files.set(file, join(folder, file))
  })
  return files
}

function listTemplates(folder: string, required: boolean): string[] {
  try {
    return readdirSync(folder).filter((file) => file.endsWith('.hbs'))
  } catch (error) {
    if (!required && codeOf(error) === 'ENOENT') return []
    throw new HostlerError('TEMPLATE', `template folder ${folder} cannot be read; see that it exists and is readable`, {
      cause: error,
    })
  }
}

function read([file, path]: [string, string]): TemplateSource {
  try {
    return { file, text: readFileSync(path, 'utf8') }
  } catch (error) {
    throw new HostlerError('TEMPLATE', `template ${path} cannot be read`, { cause: error })
  }
}

function stamp(path: string): string {
  const { mtimeNs, size, ino } = statSync(path, { bigint: true })
  return `${path} ${mtimeNs} ${size} ${ino}`
}
