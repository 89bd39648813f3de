// A labelled container starts among 100 that run: from Docker's own time of the start event to the files under their
// names, and to the first 200 through HAProxy. A real daemon, real containers, a real HAProxy.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { followStarts } from '../docker-starts.mjs'
import { startRealDocker } from '../dockerd.mjs'
import { DOMAIN, instancesFile } from '../fleet.mjs'
import { prepare, start, untilQuiet } from '../hostler.mjs'
import { watchFolder } from '../publication.mjs'
import { untilServed } from '../requests.mjs'
import { summarise } from '../statistics.mjs'
import { createWallClock } from '../wall-clock.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const PRESENT = 100
const WAYS = [
  { command: 'run', samples: 50, others: 0 },
  { command: 'generate', samples: 50, others: 0 },
  { command: 'generate', samples: 20, others: 1000 },
]
const labels = { 'hostler.port': '80' }
const TARGET = { of: 'p95', atMost: 25 }

export async function measure({ cleanup, say }) {
  const dockerd = await startRealDocker(cleanup)
  await startMany(dockerd)
  say(`${PRESENT} containers run`)
  const events = await followStarts(dockerd.docker)
  const rows = []
  for (const way of WAYS) rows.push(...(await measureWay(way, { dockerd, events, cleanup })))
  events.stop()
  await dockerd.stop()
  return rows
}

async function startMany(dockerd) {
  const names = Array.from({ length: PRESENT }, (_, index) => `present-${index}`)
  const worker = async () => {
    for (let name = names.pop(); name; name = names.pop()) await dockerd.run({ name, labels })
  }
  await Promise.all(Array.from({ length: 6 }, worker))
}

async function measureWay({ command, samples, others }, { dockerd, events, cleanup }) {
  const folder = cleanup.folder('start-event')
  const stacks = join(folder, 'stacks.yml')
  writeFileSync(stacks, instancesFile(others))
  const sources = others > 0 ? { HOSTLER_SOURCES: 'docker,file', HOSTLER_FILE: stacks } : {}
  const prepared = await prepare(folder, { DOCKER_HOST: dockerd.host, ...sources })
  const watcher = watchFolder(prepared.out)
  const complete = watcher.until({ 'haproxy-backends.cfg': (text) => count(text) >= PRESENT + others })
  const hostler = start(cleanup, command, prepared)
  await complete
  await untilQuiet(hostler.child.pid)
  const [published, served, how] = [[], [], new Map()]
  for (let sample = 0; sample < samples; sample++) {
    const name = `new-${command}-${others}-${sample}`
    const seen = await startOne({ name, dockerd, events, watcher, hostler, prepared, isServed: command === 'run' })
    published.push(seen.publishedAt - seen.startedAt)
    if (seen.servedAt) served.push(seen.servedAt - seen.startedAt)
    if (seen.how) how.set(seen.how, (how.get(seen.how) ?? 0) + 1)
    // Past the least time between two reloads, which is no part of what is measured.
    await delay(command === 'run' ? 550 : 30)
  }
  watcher.close()
  await hostler.stop()
  return rowsOf({ command, others, published, served, how })
}

/** Backends with a server. */
const count = (text) => text.split('\n  server ').length - 1

function rowsOf({ command, others, published, served, how }) {
  const beside = others > 0 ? ` and ${others} other instances` : ''
  const what = `start event → files published, ${PRESENT} containers${beside}, ${command}`
  const rows = [{ what, unit: 'ms', ...(others === 0 && { target: TARGET }), figures: summarise(published) }]
  if (served.length === 0) return rows
  const note = [...how].map(([way, times]) => `${times} by ${way}`).join(', ')
  const through = 'start event → first 200 through HAProxy, 100 containers'
  return [...rows, { what: through, unit: 'ms', figures: summarise(served), note }]
}

/** Starts a container, waits for what has to follow, removes it, and waits until that is in force too. */
async function startOne({ name, dockerd, events, watcher, hostler, prepared, isServed }) {
  watcher.recalibrate()
  const wallMs = createWallClock()
  const seen = watcher.until({
    'haproxy-backends.cfg': (text) => text.includes(`\n  server ${name} `),
    'domain.map': (text) => text.includes(`${name}.${DOMAIN} `),
  })
  const applied = isServed ? hostler.applied() : undefined
  const { id, container } = await dockerd.run({ name, labels })
  const { at: publishedAt } = await seen
  if (isServed) await untilServed({ port: prepared.port, host: `${name}.${DOMAIN}` })
  const servedAt = isServed ? wallMs() : undefined
  const how = (await applied)?.how
  const startedAt = await events.of(id)
  const gone = watcher.until({ 'domain.map': (text) => !text.includes(`${name}.${DOMAIN} `) })
  await container.remove({ force: true })
  await gone
  return { startedAt, publishedAt, servedAt, how }
}
