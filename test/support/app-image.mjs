// An image of a small web app (app/app.mjs) for tests and benchmarks: this machine's node and busybox, nothing else.
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { copyInto, importNodeImage } from '../../scripts/node-image.mjs'
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

export async function importAppImage(docker, { image = 'hostler-app:latest', port = 80, healthCheck = false } = {}) {
  const changes = [`CMD ${JSON.stringify(COMMAND)}`, `EXPOSE ${port}`, `ENV PORT=${port}`]
  if (healthCheck)
    changes.push(`HEALTHCHECK --interval=1s --retries=1 CMD ${JSON.stringify(HEALTH_CHECK.Test.slice(1))}`)
  await importNodeImage(docker, { image, app: APP, changes, add: addBusybox })
  return image
}

function addBusybox(root) {
  copyInto(root, findProgram('busybox'), 'bin/busybox')
  for (const applet of ['sh', 'wget', 'sleep', 'kill', 'cat']) symlinkSync('busybox', join(root, 'bin', applet))
}
