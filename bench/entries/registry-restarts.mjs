// etcd and Consul are killed and started again, with what they knew or empty, while an agent has 1,000 instances announced there;
// meanwhile one more comes. How long after the first answer everything is there again, the new one too.
import { setTimeout as delay } from 'node:timers/promises'
import { startAgent } from '../agent.mjs'
import { startConsul } from '../consul.mjs'
import { startEtcd } from '../etcd.mjs'
import { createInstancesList } from '../instances-list.mjs'
import { summarise } from '../statistics.mjs'

export const needs = ['etcd', 'consul']
const COUNT = { etcd: 1000, consul: 200 }
const AWAY_MS = [500, 3000, 10_000]
const TARGET = { of: 'max', atMost: 5000 }
const AGENT = 'restarts'

export async function measure({ cleanup, say }) {
  const etcd = await measureRegistry(await etcdCase(cleanup), { cleanup, say })
  const consul = await measureRegistry(await consulCase(cleanup), { cleanup, say })
  return [...etcd, ...consul]
}

async function etcdCase(cleanup) {
  const etcd = await startEtcd(cleanup)
  /** A client of its own each time, for one that has seen the end waits before it connects again. */
  async function watchCount() {
    const { client, close } = etcd.client()
    return { count: () => client.getAll().prefix(`/hostler/instances/${AGENT}/`).count(), close }
  }
  const env = { HOSTLER_REGISTRIES: 'etcd', ETCD_ENDPOINT: etcd.endpoint }
  return { title: 'etcd', store: etcd, env, count: COUNT.etcd, watchCount }
}

async function consulCase(cleanup) {
  const consul = await startConsul(cleanup)
  /** Healthy ones. */
  async function count() {
    const checks = await consul.get(`/health/node/${consul.node}`)
    return checks.filter(({ CheckID, Status }) => CheckID.endsWith(':announcer') && Status === 'passing').length
  }
  const env = { HOSTLER_REGISTRIES: 'consul', CONSUL_HTTP_ADDR: consul.url }
  const watchCount = async () => ({ count, close: async () => undefined })
  return { title: 'Consul', store: consul, env, count: COUNT.consul, watchCount }
}

async function measureRegistry({ title, store, env, count, watchCount }, { cleanup, say }) {
  const folder = cleanup.folder(AGENT)
  const list = createInstancesList(folder, count, (index) => `${AGENT}-${index}`)
  const settings = { HOSTLER_SOURCES: 'file', HOSTLER_FILE: list.path, HOSTLER_ANNOUNCE_NAME: AGENT, ...env }
  const agent = await startAgent(cleanup, folder, { env: settings, entries: count })
  const times = { kept: [], empty: [] }
  let wanted = count
  for (const memory of Object.keys(times)) {
    for (const awayMs of AWAY_MS) {
      await store.kill()
      list.write(++wanted)
      await delay(awayMs)
      await store.resume({ isEmpty: memory === 'empty' })
      times[memory].push(await untilInStep(wanted, watchCount))
      say(`${title}, ${memory}, ${awayMs} ms away: ${Math.round(times[memory].at(-1))} ms`)
      await delay(1000)
    }
  }
  await agent.stop()
  await store.kill()
  return rowsOf(title, count, times)
}

async function untilInStep(wanted, watchCount) {
  const answersAt = performance.now()
  const { count, close } = await watchCount()
  for (let seen = 0; seen !== wanted; ) {
    if (performance.now() - answersAt > 60_000) throw new Error(`${seen} of ${wanted} are there after a minute`)
    await delay(10)
    seen = await count()
  }
  await close()
  return performance.now() - answersAt
}

function rowsOf(title, count, times) {
  const note = `away for ${AWAY_MS.map((ms) => `${ms / 1000} s`).join(', ')}`
  const row = (memory, how) => ({
    id: `restart-${title.toLowerCase()}-${memory}`,
    what: `${title} answers again ${how} → in step, ${count} announced and one that came meanwhile`,
    ...{ unit: 'ms', target: TARGET, figures: summarise(times[memory]), note },
  })
  return [row('kept', 'with its data'), row('empty', 'empty')]
}
