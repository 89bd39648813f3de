// 10,000 containers announced in etcd, and 1,000 in Consul, for more would take one agent of Consul minutes: how long the first
// time takes, and then one of them that changes, with all that is written for it. The engine is a double that answers
// inspects at once. Real registries, seen by somebody else than Hostler; beside it one PUT after the other.
import { setTimeout as delay } from 'node:timers/promises'
import { announced, startAgent } from '../agent.mjs'
import { startConsul } from '../consul.mjs'
import { startDouble } from '../double.mjs'
import { createKeyWaits, startEtcd, watchKeys } from '../etcd.mjs'
import { idOf, nameOf } from '../fleet.mjs'
import { untilQuiet } from '../hostler.mjs'
import { summarise } from '../statistics.mjs'
import { createWallClock } from '../wall-clock.mjs'

export const needs = ['etcd', 'consul']
const COUNT = 10_000
const SERVICES = 1000
const FIRST_SYNCS = 3
/** At this distance one look of the registrar at all nodes falls among them. */
const CHANGES = { etcd: { samples: 100, everyMs: 250 }, consul: { samples: 30, everyMs: 200 } }
const NODES = '/hostler/instances/'

export async function measure({ cleanup, say }) {
  const etcd = await measureEtcd({ cleanup, say })
  say('etcd is done')
  const oneByOne = await putOneByOne(etcd.texts, cleanup)
  say('one by one is done')
  const consul = await measureConsul({ cleanup, say })
  return [...etcdRows(etcd, oneByOne), ...consulRows(consul)]
}

async function measureEtcd({ cleanup, say }) {
  const double = await startDouble(cleanup, cleanup.folder('nodes'), COUNT)
  const first = []
  for (let run = 1; ; run++) {
    const etcd = await startEtcd(cleanup)
    const { client, close } = etcd.client()
    const allThere = untilCounted(client)
    const env = { DOCKER_HOST: double.host, HOSTLER_REGISTRIES: 'etcd', ETCD_ENDPOINT: etcd.endpoint }
    const agent = await startAgent(cleanup, cleanup.folder('agent'), { env })
    const line = await announced(agent, COUNT, { since: 0 })
    first.push((await allThere) - beganAt(line))
    say(`first sync ${run}: ${Math.round(first.at(-1))} ms`)
    const isLast = run === FIRST_SYNCS
    const changes = isLast ? await changeNodes({ double, agent, client }) : undefined
    const texts = isLast ? await client.getAll().prefix(NODES).strings() : undefined
    await agent.stop()
    await close()
    await etcd.kill()
    if (isLast) {
      await double.stop()
      return { first, changes, texts }
    }
  }
}

/** When the facts were known and the registry was set to work. */
const beganAt = ({ time, ms }) => time - ms

/** Counted, for to be told of all of them would take as much of the machine as to write them. */
async function untilCounted(client) {
  const wallMs = createWallClock()
  for (const deadline = performance.now() + 180_000; performance.now() < deadline; await delay(10)) {
    if ((await client.getAll().prefix(NODES).count()) === COUNT) return wallMs()
  }
  throw new Error(`etcd has no ${COUNT} nodes after three minutes`)
}

/** Everything that is written from now on, by whoever. */
async function follow(client) {
  const [changes, waits] = [[], createKeyWaits()]
  const watch = await watchKeys(client, '', (change) => {
    changes.push(change)
    waits.look(change)
  })
  return { changes, until: waits.until, stop: watch.stop }
}

async function changeNodes({ double, agent, client }) {
  await untilQuiet(agent.child.pid)
  const followed = await follow(client)
  const samples = []
  for (let sample = 0; sample < CHANGES.etcd.samples; sample++) {
    const index = (sample * 7919) % COUNT
    const before = followed.changes.length
    const from = await revisionOf(client)
    const [line, wallMs] = [announced(agent, COUNT), createWallClock()]
    const seen = followed.until(({ key }) => key.startsWith(NODES) && key.includes(idOf(index)), wallMs)
    const { at } = await double.change(index, 'unhealthy')
    samples.push({ at, seenAt: await seen, syncAt: beganAt(await line) })
    // Whatever else would be written because of it.
    await delay(CHANGES.etcd.everyMs)
    const keys = followed.changes.length - before
    Object.assign(samples.at(-1), { keys, revisions: (await revisionOf(client)) - from })
  }
  await followed.stop()
  return samples
}

async function revisionOf(client) {
  const { header } = await client.kv.range({ key: Buffer.from('/'), count_only: true })
  return Number(header.revision)
}

/** As many nodes with the same texts, each with a lease of its own, one after the other. */
async function putOneByOne(texts, cleanup) {
  const etcd = await startEtcd(cleanup)
  const { client, close } = etcd.client()
  const began = performance.now()
  for (const [key, value] of Object.entries(texts)) {
    const { ID: lease } = await client.leaseClient.leaseGrant({ TTL: 600 })
    await client.kv.put({ key: Buffer.from(key), value: Buffer.from(value), lease })
  }
  const tookMs = performance.now() - began
  await close()
  await etcd.kill()
  return tookMs
}

async function measureConsul({ cleanup, say }) {
  const double = await startDouble(cleanup, cleanup.folder('services'), SERVICES)
  const consul = await startConsul(cleanup)
  const env = { DOCKER_HOST: double.host, HOSTLER_REGISTRIES: 'consul', CONSUL_HTTP_ADDR: consul.url }
  const agent = await startAgent(cleanup, cleanup.folder('agent'), { env })
  const line = await announced(agent, SERVICES, { since: 0 })
  const first = (await untilAllHealthy(consul)) - beganAt(line)
  say(`${SERVICES} services: ${Math.round(first)} ms`)
  await untilQuiet(agent.child.pid)
  const changes = []
  for (let sample = 0; sample < CHANGES.consul.samples; sample++) {
    const index = (sample * 7919) % SERVICES
    const before = await indexOf(consul)
    const [said, wallMs] = [announced(agent, SERVICES), createWallClock()]
    const path = `/health/service/${nameOf(index)}-web?passing`
    const seen = consul.until(path, (found) => found.length === 0, wallMs)
    const { at } = await double.change(index, 'unhealthy')
    changes.push({ at, seenAt: await seen, syncAt: beganAt(await said) })
    await delay(CHANGES.consul.everyMs)
    const written = (await entriesOf(consul)).filter(({ ModifyIndex }) => ModifyIndex > before)
    const services = new Set(written.map(({ ServiceID, ID }) => ServiceID ?? ID))
    Object.assign(changes.at(-1), { entries: written.length, services: services.size })
  }
  const services = Object.values(await consul.get('/agent/services'))
  await agent.stop()
  await consul.kill()
  await double.stop()
  return { first, changes, oneByOne: await registerOneByOne(services, cleanup) }
}

/** The same services without checks, one after the other, as predecessor 5 did it. */
async function registerOneByOne(services, cleanup) {
  const consul = await startConsul(cleanup)
  const began = performance.now()
  for (const { ID, Service: Name, Address, Port, Tags, Meta } of services)
    await consul.put('/agent/service/register', { ID, Name, Address, Port, Tags, Meta })
  const isThere = (node) => Object.keys(node?.Services ?? {}).length > services.length
  await consul.until(`/catalog/node/${consul.node}`, isThere, () => undefined)
  const tookMs = performance.now() - began
  await consul.kill()
  return tookMs
}

async function untilAllHealthy(consul) {
  const wallMs = createWallClock()
  for (const deadline = performance.now() + 180_000; performance.now() < deadline; await delay(50)) {
    const checks = await consul.get('/health/state/passing')
    if (checks.filter(({ CheckID }) => CheckID.endsWith(':announcer')).length === SERVICES) return wallMs()
  }
  throw new Error(`Consul has not all of ${SERVICES} services healthy after three minutes`)
}

/** Services and checks, as the catalog has them. */
async function entriesOf(consul) {
  const { Services } = await consul.get(`/catalog/node/${consul.node}`)
  return [...Object.values(Services), ...(await consul.get(`/health/node/${consul.node}`))]
}

const indexOf = async (consul) => Math.max(...(await entriesOf(consul)).map(({ ModifyIndex }) => ModifyIndex))

function etcdRows({ first, changes }, oneByOne) {
  const [synced, most] = [summarise(first), (name) => Math.max(...changes.map((change) => change[name]))]
  const ms = (later, earlier) => summarise(changes.map((change) => change[later] - change[earlier]))
  return [
    {
      ...{
        id: 'nodes-first',
        what: 'facts of 10,000 containers known → the last node seen in an empty etcd',
        unit: 'ms',
      },
      ...{ target: { of: 'max', atMost: 5000 }, figures: synced },
    },
    {
      ...{
        what: 'the same, one lease and one PUT after the other, each awaited',
        unit: 'ms',
        figures: { once: oneByOne },
      },
    },
    {
      ...{ what: 'one after the other against ours', unit: '×', figures: { ratio: oneByOne / synced.p50 } },
      ...{ ours: { p50: synced.p50 }, baseline: { once: oneByOne } },
    },
    {
      ...{ id: 'nodes-change', what: '10,000 nodes, one changes: facts known → the node seen in etcd', unit: 'ms' },
      ...{ target: { of: 'p95', atMost: 20 }, figures: ms('seenAt', 'syncAt') },
    },
    { what: "Docker's event → the same, with the source's own time", unit: 'ms', figures: ms('seenAt', 'at') },
    {
      ...{ id: 'nodes-written', what: 'written for one change: the node and our claim to it', unit: 'keys' },
      target: [
        { of: 'keys', atMost: 2 },
        { of: 'transactions', atMost: 1 },
      ],
      figures: { keys: most('keys'), transactions: most('revisions'), n: changes.length },
    },
  ]
}

function consulRows({ first, changes, oneByOne }) {
  const ms = (later, earlier) => summarise(changes.map((change) => change[later] - change[earlier]))
  const most = (name) => Math.max(...changes.map((change) => change[name]))
  const of = '1,000 services'
  return [
    {
      ...{ id: 'services-first', what: `facts of 1,000 containers known → ${of} healthy in an empty Consul` },
      ...{ unit: 'ms', figures: { once: first } },
    },
    { what: 'the same services without checks, one PUT after the other', unit: 'ms', figures: { once: oneByOne } },
    {
      ...{ what: 'one after the other against ours', unit: '×', figures: { ratio: oneByOne / first } },
      ...{ ours: { once: first }, baseline: { once: oneByOne } },
    },
    {
      ...{ id: 'services-change', what: `${of}, one changes: facts known → the change seen in Consul`, unit: 'ms' },
      ...{ target: { of: 'p95', atMost: 20 }, figures: ms('seenAt', 'syncAt') },
    },
    { what: "Docker's event → the same, with the source's own time", unit: 'ms', figures: ms('seenAt', 'at') },
    {
      ...{ id: 'services-written', what: 'services in Consul touched by one change', unit: 'services' },
      target: { of: 'services', atMost: 1 },
      figures: { services: most('services'), n: changes.length },
      note: `with its checks ${most('entries')} entries`,
    },
  ]
}
