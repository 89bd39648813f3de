// Resident memory of `hostler run` with 10,000 instances: once it has come to rest, and after 100 changes.
import { setTimeout as delay } from 'node:timers/promises'
import { startDouble } from '../double.mjs'
import { memoryOf, prepare, start, untilQuiet } from '../hostler.mjs'

export const needs = ['haproxy']
const COUNT = 10_000
const CHANGES = 100

export async function measure({ cleanup }) {
  const rows = []
  for (const proxy of ['haproxy', 'traefik']) {
    const folder = cleanup.folder('memory')
    const double = await startDouble(cleanup, folder, COUNT)
    const prepared = await prepare(folder, { DOCKER_HOST: double.host, HOSTLER_PROXY: proxy })
    const hostler = start(cleanup, 'run', prepared)
    const { pid } = hostler.child
    await hostler.applied({ since: 0, timeoutMs: 60_000 })
    await untilQuiet(pid)
    const rested = memoryOf(pid)
    for (let change = 0; change < CHANGES; change++) {
      await double.change((change * 7919) % COUNT, 'unhealthy')
      await delay(100)
    }
    await untilQuiet(pid)
    const changed = memoryOf(pid)
    await hostler.stop()
    await double.stop()
    const figures = { resident: changed.resident, 'at rest before': rested.resident, peak: changed.peak }
    const target = { of: 'resident', atMost: 220 }
    rows.push({ what: `memory, 10,000 containers, after ${CHANGES} changes, ${proxy}`, unit: 'MB', target, figures })
  }
  return rows
}
