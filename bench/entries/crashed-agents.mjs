// Agents are killed at uneven distances from the last refresh of their leases, which are as long as they are by default: until
// none of their nodes is in etcd any more, and until none of their services in Consul is healthy. In etcd once with others
// left that look after the nodes, and once with nobody left.
import { setTimeout as delay } from 'node:timers/promises'
import { startAgent } from '../agent.mjs'
import { startConsul } from '../consul.mjs'
import { startEtcd } from '../etcd.mjs'
import { createInstancesList } from '../instances-list.mjs'
import { summarise } from '../statistics.mjs'

export const needs = ['etcd', 'consul']
const LEASE_MS = 30_000
const EACH = 20
/** When each is killed, after all of them have announced: a lease is refreshed every 15 s. */
const KILLS_MS = [0, 4000, 7500, 11_000, 14_500]
const TARGET = { of: 'max', atMost: LEASE_MS + 2000 }
const EVERY_MS = 50

export async function measure({ cleanup, say }) {
  const etcd = await startEtcd(cleanup)
  const consul = await startConsul(cleanup)
  const { client, close } = etcd.client()
  const inEtcd = { HOSTLER_REGISTRIES: 'etcd', ETCD_ENDPOINT: etcd.endpoint }
  const inConsul = { HOSTLER_REGISTRIES: 'consul', CONSUL_HTTP_ADDR: consul.url }
  const alone = await startOne('alone', { ...inEtcd, HOSTLER_ETCD_PREFIX: '/alone' }, cleanup)
  const survivor = await startOne('survivor', inEtcd, cleanup)
  const [group, services] = [[], []]
  for (const at of KILLS_MS) {
    group.push(await startOne(`etcd-${at}`, inEtcd, cleanup))
    services.push(await startOne(`consul-${at}`, inConsul, cleanup))
  }
  say(`${2 + 2 * KILLS_MS.length} agents run`)
  const nodesOf = (name, prefix = '/hostler') => client.getAll().prefix(`${prefix}/instances/${name}/`).count()
  const [left, nobody, inCatalog] = await Promise.all([
    killEach(group, (name) => nodesOf(name)),
    killEach([alone], (name) => nodesOf(name, '/alone')),
    killEach(services, (name) => healthyOf(consul, name)),
  ])
  const kept = await nodesOf('survivor')
  await survivor.agent.stop()
  await close()
  await Promise.all([etcd.kill(), consul.kill()])
  if (kept !== EACH) throw new Error(`the survivor has ${kept} of its ${EACH} nodes`)
  return rowsOf({ left, nobody, inCatalog })
}

async function startOne(name, env, cleanup) {
  const folder = cleanup.folder(name)
  const { path } = createInstancesList(folder, EACH, (index) => `${name}-${index}`)
  const settings = { HOSTLER_SOURCES: 'file', HOSTLER_FILE: path, HOSTLER_ANNOUNCE_NAME: name, ...env }
  const agent = await startAgent(cleanup, folder, { env: settings, entries: EACH })
  return { name, agent }
}

/** @returns how long each one's entries outlived it, in milliseconds */
function killEach(agents, count) {
  return Promise.all(
    agents.map(async ({ name, agent }, index) => {
      await delay(KILLS_MS[index])
      const there = await count(name)
      if (there !== EACH) throw new Error(`${name} has announced ${there} of ${EACH}`)
      agent.child.kill('SIGKILL')
      const killedAt = performance.now()
      await agent.stop()
      while ((await count(name)) > 0) {
        if (performance.now() - killedAt > 3 * LEASE_MS) throw new Error(`entries of ${name} do not go`)
        await delay(EVERY_MS)
      }
      return performance.now() - killedAt
    }),
  )
}

/** As a proxy would count them: what has no check that fails. */
async function healthyOf(consul, name) {
  const checks = await consul.get(`/health/node/${consul.node}`)
  const ours = checks.filter(({ ServiceName }) => ServiceName.startsWith(`${name}-`))
  const bad = new Set(ours.filter(({ Status }) => Status !== 'passing').map(({ ServiceID }) => ServiceID))
  return new Set(ours.map(({ ServiceID }) => ServiceID).filter((id) => !bad.has(id))).size
}

const rowsOf = ({ left, nobody, inCatalog }) => {
  const row = (id, what, times) => ({ id, what, unit: 'ms', target: TARGET, figures: summarise(times) })
  return [
    row('crash-etcd', `agent killed → none of its ${EACH} nodes in etcd, others are left`, left),
    row('crash-etcd-last', 'the same, nobody is left', nobody),
    row('crash-consul', `agent killed → none of its ${EACH} services healthy in Consul`, inCatalog),
  ]
}
