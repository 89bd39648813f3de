// 10,000 containers, and one of them becomes unhealthy or healthy again: from its event to the new file under its name.
// The engine is a double that answers inspects at once, so the time is Hostler's own.
import { setTimeout as delay } from 'node:timers/promises'
import { startDouble } from '../double.mjs'
import { addressOf } from '../fleet.mjs'
import { prepare, start, untilQuiet } from '../hostler.mjs'
import { watchFolder } from '../publication.mjs'
import { summarise } from '../statistics.mjs'

export const needs = ['haproxy']
const COUNT = 10_000

const WAYS = [
  { command: 'generate', proxy: 'haproxy', samples: 40, target: { of: 'p95', atMost: 60 } },
  { command: 'generate', proxy: 'traefik', samples: 40, target: { of: 'p95', atMost: 60 } },
  { command: 'run', proxy: 'haproxy', samples: 10 },
  { command: 'run', proxy: 'traefik', samples: 20 },
]

export async function measure(context) {
  const rows = []
  for (const way of WAYS) rows.push(...(await measureWay(way, context)))
  return rows
}

async function measureWay({ command, proxy, samples, target }, { cleanup, say }) {
  const folder = cleanup.folder('one-change')
  const double = await startDouble(cleanup, folder, COUNT)
  const prepared = await prepare(folder, { DOCKER_HOST: double.host, HOSTLER_PROXY: proxy })
  const hostler = start(cleanup, command, prepared)
  await hostler.applied({ since: 0, timeoutMs: 60_000 })
  await untilQuiet(hostler.child.pid)
  const watcher = watchFolder(prepared.out)
  const [published, inForce, stamps] = [[], [], []]
  const file = proxy === 'haproxy' ? 'haproxy-backends.cfg' : 'hostler.yml'
  for (let sample = 0; sample < samples; sample++) {
    const index = (sample * 7919) % COUNT
    const address = `${addressOf(index)}:8080`
    const isNew = (text) => text.length > 0 && !text.includes(address)
    const seen = watcher.until({ [file]: isNew })
    const applied = hostler.applied()
    const { at, followers } = await double.change(index, 'unhealthy')
    if (followers !== 1) throw new Error(`${followers} clients follow the events`)
    const { at: publishedAt, renamedAt } = await seen
    published.push(publishedAt - at)
    stamps.push(publishedAt - renamedAt)
    inForce.push((await applied).time - at)
    // Past the least time between two reloads, which is no part of what is measured.
    await delay(command === 'run' && proxy === 'haproxy' ? 700 : 60 + ((sample * 37) % 50))
  }
  watcher.close()
  await hostler.stop()
  await double.stop()
  say(`${command} ${proxy}: inotify was ${summarise(stamps).p50.toFixed(1)} ms after the file system's own stamp`)
  const what = `one change in 10,000 → published, ${command}, ${proxy}`
  const rows = [{ what, unit: 'ms', ...(target && { target }), figures: summarise(published) }]
  if (command === 'run' && proxy === 'haproxy')
    rows.push({ what: `${what} → in force`, unit: 'ms', figures: summarise(inForce) })
  return rows
}
