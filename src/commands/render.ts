import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import { codeOf } from '../lib/errors.js'
import type { RenderedFile } from '../publish/files.js'
import type { OnePass } from './one-pass.js'

export interface RenderOptions {
  /** Write the files here instead of printing them. */
  readonly out?: string
  /** Print how they differ from what is in place. */
  readonly diff?: boolean
  /** Print what the templates get. */
  readonly context?: boolean
}

/** `hostler render`. @returns the exit code: 1 when `--diff` finds a difference */
export async function render(pass: OnePass, options: RenderOptions, print: (text: string) => void): Promise<number> {
  if (options.context) {
    print(`${JSON.stringify(contexts(pass), null, 2)}\n`)
    return 0
  }
  const files = pass.proxies.flatMap((proxy) => proxy.render(pass.plan))
  if (options.diff) {
    const differences = await Promise.all(files.map(difference))
    print(differences.join(''))
    return differences.some((text) => text !== '') ? 1 : 0
  }
  if (options.out === undefined) for (const { path, content } of files) print(`==> ${path} <==\n${content}\n`)
  else await writeAll(options.out, files)
  return 0
}

const contexts = ({ plan, proxies }: OnePass): object =>
  proxies.length === 1
    ? (proxies[0]?.context(plan) ?? {})
    : Object.fromEntries(proxies.map((proxy) => [proxy.name, proxy.context(plan)]))

async function writeAll(folder: string, files: readonly RenderedFile[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const { path, content } of files) await writeFile(join(folder, basename(path)), content)
}

/** A unified diff, empty when the file says the same already. */
async function difference({ path, content }: RenderedFile): Promise<string> {
  const present = await readFile(path, 'utf8').catch((error) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (present === content) return ''
  const from = present === undefined ? '/dev/null' : path
  const { stdout, exitCode } = await execa(
    'diff',
    ['-u', '--label', from, '--label', `${path} (rendered)`, from, '-'],
    {
      input: content,
      reject: false,
    },
  )
  return exitCode === 1 ? `${stdout}\n` : `${path} differs\n`
}
