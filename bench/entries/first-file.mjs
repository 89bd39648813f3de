// From the start of the process to the first files under their names, and to the first 200 through HAProxy. Processes
// start cold, one after the other, each with an empty folder.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startRealDocker } from '../dockerd.mjs'
import { DOMAIN, hostOf, instancesFile } from '../fleet.mjs'
import { prepare, start } from '../hostler.mjs'
import { watchFolder } from '../publication.mjs'
import { untilServed } from '../requests.mjs'
import { startResponder } from '../responder.mjs'
import { summarise } from '../statistics.mjs'
import { createWallClock } from '../wall-clock.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const STARTS = 12
const COUNT = 5

export async function measure({ cleanup }) {
  const folder = cleanup.folder('first-file')
  const answering = await startResponder(cleanup, folder)
  const stacks = join(folder, 'stacks.yml')
  const local = (entry) => ({ ...entry, address: '127.0.0.1', labels: { 'hostler.port': String(answering) } })
  writeFileSync(stacks, instancesFile(COUNT, local))
  const ofFile = { HOSTLER_SOURCES: 'file', HOSTLER_FILE: stacks }
  const file = await measureStarts(cleanup, folder, `${COUNT} instances in a file`, hostOf(0), ofFile)

  const dockerd = await startRealDocker(cleanup)
  for (let index = 0; index < COUNT; index++)
    await dockerd.run({ name: `web${index}`, labels: { 'hostler.port': '80' } })
  const ofDocker = { DOCKER_HOST: dockerd.host }
  const docker = await measureStarts(cleanup, folder, `${COUNT} containers`, `web0.${DOMAIN}`, ofDocker)
  await dockerd.stop()
  return [...file, ...docker]
}

async function measureStarts(cleanup, folder, title, host, overrides) {
  const [published, served] = [[], []]
  for (let round = 0; round < STARTS; round++) {
    const prepared = await prepare(folder, overrides)
    const watcher = watchFolder(prepared.out)
    const complete = watcher.until({ 'domain.map': (text) => text.includes(`${host} `) })
    const wallMs = createWallClock()
    const began = wallMs()
    const hostler = start(cleanup, 'run', prepared)
    published.push((await complete).at - began)
    await untilServed({ port: prepared.port, host })
    served.push(wallMs() - began)
    watcher.close()
    await hostler.stop()
    for (const path of [prepared.out, prepared.env.HOSTLER_STATE_DIR]) rmSync(path, { recursive: true, force: true })
  }
  const target = { of: 'p50', atMost: 700 }
  return [
    { what: `process start → first files published, run, ${title}`, unit: 'ms', target, figures: summarise(published) },
    { what: `process start → first 200 through HAProxy, ${title}`, unit: 'ms', figures: summarise(served) },
  ]
}
