// The tests' own dockerd, for benchmarks: its TypeScript is compiled on the way, into a folder that is gone afterwards.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { transformFileSync } from '@swc/core'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const OPTIONS = {
  jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
  module: { type: 'es6' },
  ...{ configFile: false, swcrc: false },
}

/** @returns what `startDockerd` of test/support/dockerd.ts gives; ended with the rest of the run, or by its `stop` */
export async function startRealDocker(cleanup) {
  // Inside the project, so that packages are found.
  mkdirSync(join(ROOT, '.cache'), { recursive: true })
  const folder = mkdtempSync(join(ROOT, '.cache', 'bench-'))
  cleanup.add(async () => rmSync(folder, { recursive: true, force: true }))
  compile(join(ROOT, 'test', 'support'), join(folder, 'test', 'support'))
  const { startDockerd } = await import(pathToFileURL(join(folder, 'test', 'support', 'dockerd.js')).href)
  const dockerd = await startDockerd()
  return { ...dockerd, stop: cleanup.add(() => dockerd.stop()) }
}

function compile(from, to) {
  mkdirSync(to, { recursive: true })
  for (const name of readdirSync(from).filter((file) => file.endsWith('.ts'))) {
    writeFileSync(join(to, name.replace(/\.ts$/, '.js')), transformFileSync(join(from, name), OPTIONS).code)
  }
}
