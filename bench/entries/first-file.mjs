// From the start of the process until its first files lie in place. Processes start cold, one after the other.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startDouble } from '../double.mjs'
import { instancesFile } from '../fleet.mjs'
import { prepare, start } from '../hostler.mjs'
import { watchFolder } from '../publication.mjs'
import { summarise } from '../statistics.mjs'
import { createWallClock } from '../wall-clock.mjs'

export const needs = ['haproxy']
const STARTS = 15
const COUNT = 100

export async function measure({ cleanup }) {
  const folder = cleanup.folder('first-file')
  const double = await startDouble(cleanup, folder, COUNT)
  const stacks = join(folder, 'stacks.yml')
  writeFileSync(stacks, instancesFile(COUNT))
  const ways = [
    { source: 'docker', env: { DOCKER_HOST: double.host } },
    { source: 'file', env: { HOSTLER_SOURCES: 'file', HOSTLER_FILE: stacks } },
  ]
  const rows = []
  for (const { source, env } of ways) {
    const samples = []
    for (let round = 0; round < STARTS; round++)
      samples.push(await timeStart(cleanup, join(folder, `${source}-${round}`), env))
    const target = { of: 'p50', atMost: 700 }
    const what = `process start → first files published, run, haproxy, ${COUNT} instances from ${source}`
    rows.push({ what, unit: 'ms', target, figures: summarise(samples) })
  }
  return rows
}

async function timeStart(cleanup, folder, env) {
  const prepared = await prepare(folder, env)
  const watcher = watchFolder(prepared.out)
  const published = watcher.until({ 'haproxy-backends.cfg': (text) => text.includes('backend app-r1\n') })
  const began = createWallClock()()
  const hostler = start(cleanup, 'run', prepared)
  const { at } = await published
  await hostler.applied({ since: 0 })
  await hostler.stop()
  watcher.close()
  rmSync(folder, { recursive: true })
  return at - began
}
