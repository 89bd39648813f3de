// A labelled container starts among 100 that run: from Docker's own time of the start event to the moment at which somebody
// else sees it in etcd (by a watch) or Consul (by a blocking query). A real daemon, real containers, real registries; and
// beside it Rancon's poll.
import { setTimeout as delay } from 'node:timers/promises'
import { announced, startAgent } from '../agent.mjs'
import { startConsul } from '../consul.mjs'
import { followStarts } from '../docker-starts.mjs'
import { startRealDocker } from '../dockerd.mjs'
import { createKeyWaits, startEtcd, watchKeys } from '../etcd.mjs'
import { untilQuiet } from '../hostler.mjs'
import { startPolling } from '../predecessor-registration.mjs'
import { summarise } from '../statistics.mjs'
import { createWallClock } from '../wall-clock.mjs'

export const needs = ['dockerd', 'busybox', 'etcd', 'consul']
const PRESENT = 100
const SAMPLES = 50
const PREDECESSOR = { samples: 24, everyMs: 730 }
const labels = { 'hostler.port': '80' }
const TARGET = { of: 'p95', atMost: 30 }

export async function measure({ cleanup, say }) {
  const dockerd = await startRealDocker(cleanup)
  await startMany(dockerd)
  say(`${PRESENT} containers run`)
  const events = await followStarts(dockerd.docker)
  const context = { dockerd, events, cleanup }
  const rows = [
    await measureEtcd({ policy: 'skydns', prefix: '/skydns/', isUp: () => true }, context),
    // This one announces containers that do not run as well.
    await measureEtcd({ policy: 'hostler', prefix: '/hostler/instances/', isUp: isRunning }, context),
    ...(await measureConsul(context)),
  ]
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

const isRunning = ({ value }) => JSON.parse(value).state === 'running'

async function measureEtcd({ policy, prefix, isUp }, { dockerd, events, cleanup }) {
  const etcd = await startEtcd(cleanup)
  const env = { HOSTLER_REGISTRIES: 'etcd', HOSTLER_POLICIES: policy, ETCD_ENDPOINT: etcd.endpoint }
  const agent = await startAgentOn(dockerd, cleanup, env)
  const { client, close } = etcd.client()
  const waits = createKeyWaits()
  const watch = await watchKeys(client, prefix, waits.look)
  const times = await sample(SAMPLES, { dockerd, events }, (_name, now) => ({
    here: waits.until((change) => change.type === 'Put' && isUp(change), now),
    gone: () => waits.until(({ type }) => type === 'Delete', now),
  }))
  await watch.stop()
  await agent.stop()
  await close()
  await etcd.kill()
  const what = `start event → node in etcd seen by a watch, policy ${policy}, ${PRESENT} containers`
  return { id: `start-etcd-${policy}`, what, unit: 'ms', target: TARGET, figures: summarise(times) }
}

async function measureConsul({ dockerd, events, cleanup }) {
  const consul = await startConsul(cleanup)
  const env = { HOSTLER_REGISTRIES: 'consul', CONSUL_HTTP_ADDR: consul.url }
  const agent = await startAgentOn(dockerd, cleanup, env)
  const visible = (name, now) => ({
    here: consul.until(pathOf(name), (found) => found.length > 0, now),
    gone: () => consul.until(pathOf(name), (found) => found.length === 0, now),
  })
  const times = await sample(SAMPLES, { dockerd, events }, visible)
  await agent.stop()
  const baseline = await measurePolling({ dockerd, events, cleanup })
  await consul.kill()
  const what = `start event → service healthy in Consul, seen by a blocking query, ${PRESENT} containers`
  const ours = summarise(times)
  return [
    { id: 'start-consul', what, unit: 'ms', target: TARGET, figures: ours },
    {
      id: 'start-consul-predecessor',
      ...{ what: "the same by Rancon's poll every 5 s", unit: 'ms', figures: baseline },
    },
    {
      ...{ what: "Rancon's poll against ours, median", unit: '×', figures: { ratio: baseline.p50 / ours.p50 } },
      ...{ ours: { p50: ours.p50 }, baseline: { p50: baseline.p50 } },
    },
  ]
}

const pathOf = (name) => `/health/service/${name}?passing`

async function startAgentOn(dockerd, cleanup, env) {
  const folder = cleanup.folder('agent')
  const agent = await startAgent(cleanup, folder, { env: { DOCKER_HOST: dockerd.host, ...env } })
  await announced(agent, PRESENT, { since: 0 })
  await untilQuiet(agent.child.pid)
  return agent
}

/** Starts a container, waits until it is seen, removes it, and waits until that is seen too; so many times. */
async function sample(count, { dockerd, events }, visible) {
  const times = []
  for (let number = 0; number < count; number++) {
    const name = `new-${number}`
    const { here, gone } = visible(name, createWallClock())
    const { id, container } = await dockerd.run({ name, labels })
    times.push((await here) - (await events.of(id)))
    const removed = gone()
    await container.remove({ force: true })
    await removed
    await delay(30 + ((number * 37) % 50))
  }
  return times
}

/** Many start at uneven distances from its polls, so a few dozen of them need no more than half a minute. */
async function measurePolling({ dockerd, events, cleanup }) {
  const consul = await startConsul(cleanup)
  const stop = await startPolling(cleanup, dockerd.docker, consul)
  const pending = []
  for (let number = 0; number < PREDECESSOR.samples; number++) {
    pending.push(untilPolled(`polled-${number}`, { dockerd, events, consul }))
    await delay(PREDECESSOR.everyMs)
  }
  const times = await Promise.all(pending)
  await stop()
  await consul.kill()
  return summarise(times)
}

async function untilPolled(name, { dockerd, events, consul }) {
  const seen = consul.until(pathOf(name), (found) => found.length > 0, createWallClock())
  const { id } = await dockerd.run({ name, labels })
  return (await seen) - (await events.of(id))
}
