// The tests' own Docker daemon, compiled for this run.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { transformFileSync } from '@swc/core'

const SUPPORT = fileURLToPath(new URL('../test/support', import.meta.url))
const CACHE = fileURLToPath(new URL('../.cache', import.meta.url))

const OPTIONS = {
  ...{ jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } },
  ...{ configFile: false, swcrc: false },
}

/** @returns a Docker daemon that `cleanup` stops; see test/support/dockerd.ts */
export async function startDockerd(cleanup) {
  // Below the project, so that its packages are found.
  const folder = join(CACHE, `bench-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  cleanup.add(async () => rmSync(folder, { recursive: true, force: true }))
  for (const name of readdirSync(SUPPORT).filter((file) => file.endsWith('.ts') && !file.includes('.test.'))) {
    writeFileSync(join(folder, name.replace(/\.ts$/, '.js')), transformFileSync(join(SUPPORT, name), OPTIONS).code)
  }
  if (!existsSync(join(folder, 'package.json'))) writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const support = await import(pathToFileURL(join(folder, 'dockerd.js')).href)
  const daemon = await support.startDockerd()
  const stop = cleanup.add(() => daemon.stop())
  return { ...daemon, stop }
}
