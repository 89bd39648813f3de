// Predecessor 1's way from what runs to HAProxy: it asks every 10 seconds, writes the domain map and the backends where they
// differ, sees that the backends' file has changed, has HAProxy check it, and reloads. What it asked was Rancher's metadata;
// here it is Docker itself, which is as fresh as can be.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { findProgram } from '../scripts/servers.mjs'
import { DOMAIN } from './fleet.mjs'
import { freePort } from './hostler.mjs'
import { predecessorConfig } from './predecessor.mjs'
import { startHaproxy } from './responder.mjs'

const POLL_MS = 10_000
const BACKENDS = 'haproxy-backends.cfg'
const run = promisify(execFile)

/** @param {import('dockerode')} docker @returns the port on which its HAProxy listens, and how to end it */
export async function startPredecessor(cleanup, folder, docker) {
  const out = join(folder, 'predecessor')
  mkdirSync(out)
  const [base, map, backends] = ['haproxy.cfg', 'domain.map', BACKENDS].map((name) => join(out, name))
  const port = await freePort()
  writeFileSync(base, predecessorConfig({ map, port }))
  await poll(docker, { map, backends })
  const args = ['-f', base, '-f', backends]
  const haproxy = await startHaproxy(cleanup, ['-W', ...args], port)
  const ending = new AbortController()
  const watching = reloadOnChange(out, args, haproxy.child)
  const polling = pollForever(docker, { map, backends }, ending.signal)
  const stop = cleanup.add(async () => {
    ending.abort()
    watching.close()
    await polling
    await haproxy.stop()
  })
  return { port, stop }
}

async function pollForever(docker, files, signal) {
  while (!signal.aborted) {
    await delay(POLL_MS, undefined, { signal }).catch(() => undefined)
    if (!signal.aborted) await poll(docker, files)
  }
}

async function poll(docker, { map, backends }) {
  const containers = await docker.listContainers({ filters: { label: ['hostler.port'] } })
  const stacks = new Map()
  for (const { Id, Labels, NetworkSettings } of containers) {
    const [{ IPAddress }] = Object.values(NetworkSettings.Networks)
    const { 'hostler.stack': stack, 'hostler.port': port } = Labels
    if (IPAddress) stacks.set(stack, [...(stacks.get(stack) ?? []), `  server ${Id} ${IPAddress}:${port}\n`])
  }
  const sorted = [...stacks].sort(([a], [b]) => (a < b ? -1 : 1))
  // The map first: its reader is told by the change of the other.
  replace(map, sorted.map(([stack]) => `${stack}.${DOMAIN} ${stack}\n`).join(''))
  replace(backends, sorted.map(([stack, servers]) => `backend ${stack}\n${servers.sort().join('')}`).join(''))
}

function replace(path, text) {
  if (textOf(path) === text) return
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

function textOf(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function reloadOnChange(folder, args, master) {
  return watch(folder, async (_event, name) => {
    if (name !== BACKENDS) return
    const checked = await run(findProgram('haproxy'), ['-c', ...args]).then(
      () => true,
      () => false,
    )
    if (checked) master.kill('SIGUSR2')
  })
}
