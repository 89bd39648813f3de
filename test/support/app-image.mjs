// An image of a small web app (app/app.mjs) for tests and benchmarks: this machine's node and busybox, nothing else, so that
// nothing need be pulled, compiled or installed. Made and imported in about two seconds.
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findProgram } from '../../scripts/servers.mjs'

const APP = fileURLToPath(new URL('app/', import.meta.url))
const COMMAND = ['/bin/node', '/app/app.mjs']

/** As Docker's create request wants it: asks `/health` every second. */
export const HEALTH_CHECK = {
  Test: ['CMD', '/bin/wget', '-q', '-O', '/dev/null', 'http://127.0.0.1/health'],
  Interval: 1_000_000_000,
  Timeout: 1_000_000_000,
  Retries: 1,
}

export async function importAppImage(docker, { image = 'hostler-app:latest', healthCheck = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'hostler-app-'))
  try {
    fill(folder)
    const tar = spawn('tar', ['-c', '-C', folder, '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const at = image.lastIndexOf(':')
    const changes = [`CMD ${JSON.stringify(COMMAND)}`, 'EXPOSE 80']
    if (healthCheck)
      changes.push(`HEALTHCHECK --interval=1s --retries=1 CMD ${JSON.stringify(HEALTH_CHECK.Test.slice(1))}`)
    const reply = await docker.importImage(tar.stdout, {
      ...{ repo: image.slice(0, at), tag: image.slice(at + 1), changes },
    })
    for await (const chunk of reply) if (/"error"/.test(chunk)) throw new Error(`the app's image: ${chunk}`)
    return image
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function fill(root) {
  for (const name of ['tmp', 'proc', 'sys', 'dev', 'etc']) mkdirSync(join(root, name))
  cpSync(APP, join(root, 'app'), { recursive: true })
  copy(root, process.execPath, 'bin/node')
  const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' }).match(/\/\S+(?= \()/g) ?? []
  for (const library of libraries) copy(root, library, library)
  copy(root, findProgram('busybox'), 'bin/busybox')
  for (const applet of ['sh', 'wget', 'sleep', 'kill', 'cat']) symlinkSync('busybox', join(root, 'bin', applet))
}

function copy(root, from, to) {
  mkdirSync(dirname(join(root, to)), { recursive: true })
  cpSync(from, join(root, to), { dereference: true })
}
