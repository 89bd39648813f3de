// A labelled container starts beside 100 others: from Docker's own start event to the new files in place, and to the first
// 200 through HAProxy. Real dockerd, real containers.
import { request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { startRealDocker } from '../dockerd.mjs'
import { DOMAIN } from '../fleet.mjs'
import { prepare, start, untilQuiet } from '../hostler.mjs'
import { watchFolder } from '../publication.mjs'
import { summarise } from '../statistics.mjs'
import { createWallClock } from '../wall-clock.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const PRESENT = 100
const SAMPLES = 50

export async function measure({ cleanup, say }) {
  const dockerd = await startRealDocker(cleanup)
  await Promise.all(Array.from({ length: 4 }, (_, lane) => startMany(dockerd, lane)))
  say(`${PRESENT} containers run`)
  const rows = []
  for (const command of ['run', 'generate']) {
    const { published, served } = await measureCommand(command, dockerd, cleanup)
    const checked = command === 'run' ? ', checked by `haproxy -c`' : ''
    const what = `start event → files published, ${PRESENT} containers, ${command}${checked}`
    rows.push({ what, unit: 'ms', target: { of: 'p95', atMost: 25 }, figures: summarise(published) })
    if (command === 'run') {
      rows.push({ what: 'start event → first 200 through HAProxy', unit: 'ms', figures: summarise(served) })
    }
  }
  return rows
}

const labels = (name) => ({ 'hostler.port': '80', 'hostler.stack': name })

async function startMany(dockerd, lane) {
  for (let index = lane; index < PRESENT; index += 4) {
    await dockerd.run({ name: `base-${index}`, labels: labels(`base-${index}`) })
  }
}

async function measureCommand(command, dockerd, cleanup) {
  const folder = cleanup.folder('start-event')
  const prepared = await prepare(folder, { DOCKER_HOST: dockerd.host })
  const hostler = start(cleanup, command, prepared)
  await hostler.applied({ since: 0, timeoutMs: 60_000 })
  await untilQuiet(hostler.child.pid)
  const watcher = watchFolder(prepared.out)
  const events = await followStarts(dockerd)
  const wallMs = createWallClock()
  const [published, served] = [[], []]
  for (let sample = 0; sample < SAMPLES; sample++) {
    const name = `${command}-${sample}`
    const seen = watcher.until({ 'haproxy-backends.cfg': (text) => text.includes(`server ${name} `) })
    const started = events.startOf(name)
    const { container } = await dockerd.run({ name, labels: labels(name) })
    const at = await started
    published.push((await seen).at - at)
    if (command === 'run') {
      await untilServed(prepared.port, `${name}.${DOMAIN}`)
      served.push(wallMs() - at)
    }
    await container.remove({ force: true })
    // Past the least time between two reloads, which is no part of what is measured.
    await delay(700)
  }
  events.close()
  watcher.close()
  await hostler.stop()
  return { published, served }
}

/** When Docker itself says that a container started, on its own clock. */
async function followStarts(dockerd) {
  const stream = await dockerd.docker.getEvents({ filters: { type: ['container'], event: ['start'] } })
  const waits = new Map()
  let rest = ''
  stream.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()
    for (const line of lines.filter(Boolean)) {
      const { Actor, timeNano } = JSON.parse(line)
      waits.get(Actor.Attributes.name)?.(timeNano / 1e6)
    }
  })
  return {
    startOf: (name) => new Promise((resolve) => waits.set(name, resolve)),
    close: () => stream.destroy(),
  }
}

async function untilServed(port, host) {
  const deadline = performance.now() + 10_000
  while ((await ask(port, host)) !== 200) {
    if (performance.now() > deadline) throw new Error(`${host} was never served`)
    await delay(1)
  }
}

const ask = (port, host) =>
  new Promise((resolve) => {
    const asked = request({ port, host: '127.0.0.1', agent: false, headers: { host }, timeout: 2000 }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode))
    })
    asked.on('error', () => resolve(0))
    asked.on('timeout', () => asked.destroy(new Error('no answer')))
    asked.end()
  })
