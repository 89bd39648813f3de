// A container starts on one host, and a proxy on another host serves it: an agent that only announces, an etcd, and a Hostler
// that knows nothing but this etcd, with a real HAProxy. All of it on this machine. Beside it one Hostler that does both.
import { setTimeout as delay } from 'node:timers/promises'
import { announced, startAgent } from '../agent.mjs'
import { followStarts } from '../docker-starts.mjs'
import { startRealDocker } from '../dockerd.mjs'
import { startEtcd } from '../etcd.mjs'
import { DOMAIN } from '../fleet.mjs'
import { prepare, start, untilQuiet } from '../hostler.mjs'
import { untilServed } from '../requests.mjs'
import { createOf, listeningSince, startStacks } from '../stack-containers.mjs'
import { summarise } from '../statistics.mjs'
import { createWallClock } from '../wall-clock.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox', 'etcd']
const PRESENT = 50
const SAMPLES = 50
const LOCAL_SAMPLES = 30

export async function measure({ cleanup, say }) {
  const dockerd = await startRealDocker(cleanup)
  await startStacks(dockerd, PRESENT)
  say(`${PRESENT} containers run`)
  const starts = await followStarts(dockerd.docker)
  const context = { dockerd, starts, cleanup }
  const remote = await measureRemote(context)
  const local = await measureLocal(context)
  starts.stop()
  await dockerd.stop()
  return rowsOf(remote, local)
}

async function measureRemote({ dockerd, starts, cleanup }) {
  const etcd = await startEtcd(cleanup)
  const shared = { ETCD_ENDPOINT: etcd.endpoint }
  const env = { DOCKER_HOST: dockerd.host, HOSTLER_REGISTRIES: 'etcd', ...shared }
  const agent = await startAgent(cleanup, cleanup.folder('host-a'), { env })
  await announced(agent, PRESENT, { since: 0 })
  const prepared = await prepare(cleanup.folder('host-b'), { HOSTLER_SOURCES: 'etcd', ...shared })
  const seen = await measureProxy(prepared, SAMPLES, { dockerd, starts, cleanup })
  await agent.stop()
  await etcd.kill()
  return seen
}

async function measureLocal({ dockerd, starts, cleanup }) {
  const prepared = await prepare(cleanup.folder('alone'), { HOSTLER_SOURCES: 'docker', DOCKER_HOST: dockerd.host })
  return measureProxy(prepared, LOCAL_SAMPLES, { dockerd, starts, cleanup })
}

async function measureProxy(prepared, samples, { dockerd, starts, cleanup }) {
  const hostler = start(cleanup, 'run', prepared)
  await untilServed({ port: prepared.port, host: `present-0.${DOMAIN}` }, { timeoutMs: 60_000 })
  await untilQuiet(hostler.child.pid)
  const seen = []
  for (let sample = 0; sample < samples; sample++) {
    seen.push(await comeAndGo(`new-${sample}`, { dockerd, starts, hostler, port: prepared.port }))
    await delay(50 + ((sample * 37) % 50))
  }
  await hostler.stop()
  return seen
}

/** A stack comes and goes again; both are awaited. */
async function comeAndGo(stack, { dockerd, starts, hostler, port }) {
  const target = { port, host: `${stack}.${DOMAIN}` }
  const { id, container } = await createOf(dockerd, stack)
  const wallMs = createWallClock()
  const applied = hostler.applied()
  const served = untilServed(target).then(() => wallMs())
  await container.start()
  const servedAt = await served
  const fromListening = servedAt - (await listeningSince(target))
  const fromStartEvent = servedAt - (await starts.of(id))
  const { how } = await applied
  const gone = hostler.applied()
  await container.remove({ force: true })
  await gone
  return { fromListening, fromStartEvent, how }
}

function rowsOf(remote, local) {
  const of = (seen, name) => summarise(seen.map((times) => times[name]))
  const reloads = remote.filter(({ how }) => how === 'reload').length
  const [across, alone] = [of(remote, 'fromStartEvent'), of(local, 'fromStartEvent')]
  return [
    {
      id: 'remote-start',
      what: 'start event on host A → first 200 through HAProxy on host B, by etcd',
      ...{ unit: 'ms', target: { of: 'p95', atMost: 150 }, figures: across, note: `${reloads} by reload` },
    },
    { what: 'container listens → the same', unit: 'ms', figures: of(remote, 'fromListening') },
    { what: 'start event → the same by one Hostler at Docker itself', unit: 'ms', figures: alone },
    {
      ...{ what: 'what the way by etcd costs, median', unit: 'ms', figures: { more: across.p50 - alone.p50 } },
      ...{ ours: { p50: across.p50 }, baseline: { p50: alone.p50 } },
    },
  ]
}
