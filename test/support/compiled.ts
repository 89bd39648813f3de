import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformFileSync } from '@swc/core'
import { tempDir } from './temp.js'

const SRC = fileURLToPath(new URL('../../src', import.meta.url))

/** Compiles folders of src for a process of its own, which anybody may run; returns where they lie now. */
export function compiled(...folders: string[]): string {
  const out = tempDir('hostler-compiled-')
  chmodSync(out, 0o755)
  writeFileSync(join(out, 'package.json'), '{"type":"module"}')
  const files = folders.flatMap((folder) => readdirSync(join(SRC, folder)).map((name) => join(folder, name)))
  for (const file of files.filter((name) => name.endsWith('.ts'))) {
    const { code } = transformFileSync(join(SRC, file), {
      jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      module: { type: 'es6' },
      configFile: false,
      swcrc: false,
    })
    mkdirSync(dirname(join(out, file)), { recursive: true })
    writeFileSync(join(out, file.replace(/\.ts$/, '.js')), code)
  }
  return out
}
