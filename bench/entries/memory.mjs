// Resident memory of `hostler run` with 10,000 instances: once it has come to rest, and after 100 changes.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startDouble } from '../double.mjs'
import { instancesFile } from '../fleet.mjs'
import { memoryOf, prepare, start, untilQuiet } from '../hostler.mjs'

export const needs = ['haproxy']
const COUNT = 10_000
const CHANGES = 100

export async function measure({ cleanup }) {
  return [
    await withDocker('haproxy', cleanup),
    await withDocker('traefik', cleanup),
    await withFile('haproxy', cleanup),
  ]
}

async function withDocker(proxy, cleanup) {
  const folder = cleanup.folder('memory')
  const double = await startDouble(cleanup, folder, COUNT)
  const prepared = await prepare(folder, { DOCKER_HOST: double.host, HOSTLER_PROXY: proxy })
  const row = await observe(`docker, ${proxy}`, prepared, cleanup, async () => {
    for (let change = 0; change < CHANGES; change++) {
      await double.change((change * 7919) % COUNT, 'unhealthy')
      await delay(100)
    }
  })
  await double.stop()
  return row
}

/** Each change is the whole file anew; those that come while it is read become one. */
async function withFile(proxy, cleanup) {
  const folder = cleanup.folder('memory')
  const path = join(folder, 'stacks.yml')
  const write = (changes) => {
    const moved = (entry, index) => (index < changes ? { ...entry, address: '127.0.0.1' } : entry)
    writeFileSync(`${path}.new`, instancesFile(COUNT, moved))
    renameSync(`${path}.new`, path)
  }
  write(0)
  const prepared = await prepare(folder, { HOSTLER_SOURCES: 'file', HOSTLER_FILE: path, HOSTLER_PROXY: proxy })
  return observe(`file, ${proxy}`, prepared, cleanup, async () => {
    for (let change = 1; change <= CHANGES; change++) {
      write(change)
      await delay(100)
    }
  })
}

async function observe(title, prepared, cleanup, changeSome) {
  const hostler = start(cleanup, 'run', prepared)
  const { pid } = hostler.child
  await hostler.applied({ since: 0, timeoutMs: 60_000 })
  await untilQuiet(pid)
  const rested = memoryOf(pid)
  await changeSome()
  await untilQuiet(pid)
  const changed = memoryOf(pid)
  await hostler.stop()
  return {
    what: `resident memory, 10,000 instances, after ${CHANGES} changes, ${title}`,
    unit: 'MB',
    target: { of: 'resident', atMost: 220 },
    figures: { resident: changed.resident, 'at rest before': rested.resident, peak: changed.peak },
  }
}
