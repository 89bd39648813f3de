// The demo's stack that sleeps: a real container, of an image that this machine has everything for.
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Dockerode from 'dockerode'
import { copyInto, importNodeImage } from '../node-image.mjs'

const HERE = fileURLToPath(new URL('.', import.meta.url))
/** On everything that the demo makes; its value is the demo's process. */
const LABEL = 'hostler-demo'
export const IDLE_SECONDS = 15
const START_MS = 3000
const TEXT = `This container was asleep. When nobody asks for ${IDLE_SECONDS} seconds, it sleeps again.`

/**
 * What DOCKER_HOST leads to: the socket of a Docker on this machine that answers, or `elsewhere`, or nothing. One elsewhere could
 * not run what this machine's Node.js is linked with, nor would its containers' addresses lead anywhere from here.
 */
export async function findDocker(hosts = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock') {
  const [host] = hosts.split(',')
  if (!host.startsWith('unix://')) return { elsewhere: host }
  const socketPath = host.slice('unix://'.length)
  if (!(await pings(socketPath))) return {}
  return process.platform === 'linux' ? { socketPath } : { elsewhere: host }
}

/** Makes the stack, asleep. What it made so far is gone again when that fails. */
export async function createSleepyStack(socketPath) {
  const docker = new Dockerode({ socketPath })
  const id = String(process.pid)
  const remove = () => removeLabelled(docker, (value) => value === id)
  await removeLabelled(docker, (value) => !isAlive(Number(value)))
  try {
    await create(docker, id)
  } catch (error) {
    await remove().catch(() => undefined)
    throw error
  }
  return { remove }
}

async function create(docker, id) {
  const [name, image, labels] = [`hostler-demo-${id}`, `hostler-demo:${id}`, { [LABEL]: id }]
  await importApp(docker, image, id)
  await docker.createNetwork({ Name: name, Driver: 'bridge', Labels: labels })
  await docker.createContainer({
    name,
    Image: image,
    Env: [`START_MS=${START_MS}`, `TEXT=${TEXT}`],
    HostConfig: { NetworkMode: name },
    Labels: {
      ...labels,
      'hostler.port': '80',
      'hostler.stack': 'sleepy',
      'hostler.service': 'web',
      'hostler.wake': 'true',
      'hostler.idle': `${IDLE_SECONDS}s`,
    },
  })
}

async function importApp(docker, image, id) {
  const app = mkdtempSync(join(tmpdir(), 'hostler-demo-app-'))
  try {
    for (const file of ['sleepy-app.mjs', 'page.mjs']) copyInto(app, join(HERE, file), file)
    const changes = ['CMD ["/bin/node", "/app/sleepy-app.mjs"]', `LABEL ${LABEL}=${id}`]
    await importNodeImage(docker, { image, app, changes })
  } finally {
    rmSync(app, { recursive: true, force: true })
  }
}

/** Containers first: they hold the others. */
async function removeLabelled(docker, isMeant) {
  const filters = { label: [LABEL] }
  const meant = ({ Labels }) => isMeant(Labels?.[LABEL])
  for (const { Id } of (await docker.listContainers({ all: true, filters })).filter(meant))
    await docker.getContainer(Id).remove({ force: true, v: true })
  for (const { Id } of (await docker.listNetworks({ filters })).filter(meant)) await docker.getNetwork(Id).remove()
  for (const { Id } of (await docker.listImages({ filters })).filter(meant))
    await docker.getImage(Id).remove({ force: true })
}

/** A demo that was killed could not clear up; the next one does. */
function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function pings(socketPath) {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/_ping', timeout: 1000 }, (response) =>
      resolve(response.resume().statusCode === 200),
    )
    asked.on('error', () => resolve(false))
    asked.on('timeout', () => asked.destroy())
    asked.end()
  })
}
