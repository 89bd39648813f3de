// Compiles src to dist and makes the command executable.
import { spawnSync } from 'node:child_process'
import { chmodSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

export function build() {
  rmSync(`${root}dist`, { recursive: true, force: true })
  const { status } = spawnSync(`${root}node_modules/.bin/tsc`, ['-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  })
  if (status === 0) chmodSync(`${root}dist/main.js`, 0o755)
  return status ?? 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(build())
