// Stacks that sleep and wake: a real dockerd with the tests' own app (test/support/app), a real HAProxy in front of it, and
// the compiled program.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { importAppImage } from '../test/support/app-image.mjs'
import { startRealDocker } from './dockerd.mjs'
import { DOMAIN } from './fleet.mjs'
import { haproxyProcesses } from './haproxy-processes.mjs'
import { freePort, prepare, start } from './hostler.mjs'

const IMAGE = 'hostler-app:latest'

/** Nobody is put to sleep for being idle unless a label or `env` says so. Hostler is started by `open`, as often as wanted. */
export async function openInn(cleanup, { name, env = {} }) {
  const dockerd = await startRealDocker(cleanup)
  await importAppImage(dockerd.docker, { image: IMAGE })
  const folder = cleanup.folder(name)
  const publicPort = await freePort()
  const prepared = await prepare(folder, {
    ...{ HOSTLER_SOURCES: 'docker', DOCKER_HOST: dockerd.host, HOSTLER_WAKE: 'true', HOSTLER_IDLE: '0' },
    ...{ HOSTLER_PUBLIC_LISTEN: `127.0.0.1:${publicPort}`, ...env },
  })
  // A Hostler that was killed has left it running.
  cleanup.add(async () => {
    for (const { pid } of haproxyProcesses(folder)) end(pid)
  })
  let hostler
  let address
  const token = () => readFileSync(join(prepared.env.HOSTLER_STATE_DIR, 'token'), 'utf8').trim()
  const call = (method, path) => callPrivate(method, `http://${address}${path}`, token())
  return {
    ...{ dockerd, publicPort, port: prepared.port, call },
    target: (stack, path = '/') => ({ port: prepared.port, host: hostOf(stack), path }),
    async open() {
      hostler = start(cleanup, 'run', prepared)
      address = (await hostler.line(({ msg }) => msg === 'hostler has started', { since: 0 })).listen
      return hostler
    },
    /** As the kernel does when memory runs out. */
    async kill() {
      hostler.child.kill('SIGKILL')
      await hostler.stop()
    },
    /** A stack of one container, which is created and not started. */
    lodge: (stack, { env: settings = [], labels = {}, ...more } = {}) =>
      dockerd.run({
        ...{ name: `${stack}-web-1`, env: settings, create: { Image: IMAGE }, start: false },
        labels: { 'hostler.port': '80', 'hostler.stack': stack, ...labels },
        ...more,
      }),
    async sleep(stack) {
      const { result } = await call('POST', `/api/sleep/${stack}`)
      if (result !== 'asleep') throw new Error(`${stack} was put to sleep, and is ${result}`)
    },
    /** How often its container was started. */
    starts: (stack) => countStarts(dockerd.docker, `${stack}-web-1`),
    /** Waits until the proxy knows all of them, in that phase. */
    async settled(stacks, phase = 'asleep') {
      for (const deadline = performance.now() + 60_000; performance.now() < deadline; await delay(100)) {
        const { lifecycle } = await call('GET', '/api/state')
        const phases = new Map(lifecycle?.groups.map((one) => [one.name, one.phase]))
        if (!stacks.every((stack) => phases.get(stack) === phase)) continue
        const { proxies } = await call('GET', '/api/plan')
        if (proxies.every(({ how }) => how === 'nothing')) return
      }
      throw new Error(`not all of ${stacks.length} stacks are ${phase} within a minute`)
    },
  }
}

export const hostOf = (stack) => `${stack}.${DOMAIN}`

export const namesOf = (prefix, count) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`)

async function callPrivate(method, url, token) {
  const answer = await fetch(url, { method, headers: { token } })
  const body = await answer.json()
  if (!answer.ok) throw new Error(`${method} ${url}: ${JSON.stringify(body)}`)
  return body
}

async function countStarts(docker, container) {
  const until = Math.floor(Date.now() / 1000) + 1
  const events = await docker.getEvents({ since: 0, until, filters: { container: [container], event: ['start'] } })
  let lines = ''
  for await (const chunk of events) lines += chunk
  return lines.split('\n').filter((line) => line.trim() !== '').length
}

function end(pid) {
  try {
    process.kill(pid, 'SIGTERM')
  } catch {
    // It has ended already.
  }
}
