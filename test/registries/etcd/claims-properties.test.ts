import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Etcd3 } from 'etcd3'
import type { Instance } from '../../../src/model/instance.js'
import { startEtcd, type TestEtcd } from '../../support/etcd.js'
import { type EtcdRig, startEtcdRegistry } from '../../support/etcd-rig.js'
import { instance } from '../../support/instances.js'
import { seededRandom } from '../../support/random.js'
import { describeWith } from '../../support/servers.js'
import { until } from '../../support/wait.js'

const NODES = ['x', 'y', 'z']
const PREFIX = '/skydns/local/skydns/'
const SEEDS = process.env['CLAIM_SEEDS']?.split(',').map(Number) ?? [1, 2, 3]

/** One change of the store: everything that one transaction, or the end of one lease, did. */
type Revision = { readonly key: string; readonly value: string | undefined }[]

describeWith(['etcd'], 'claims of many who do not wait for each other', () => {
  let etcd: TestEtcd
  beforeAll(async () => {
    etcd = await startEtcd()
  })
  afterAll(() => etcd.stop())

  test.each(SEEDS)(
    'a node that is claimed is never missing, and whoever writes it writes the smallest value that is claimed (seed %i)',
    async (seed) => {
      await etcd.client.delete().all().exec()
      const { next, pick } = seededRandom(seed)
      const history = await record(etcd)
      const env = { ETCD_ENDPOINT: etcd.endpoint, HOSTLER_POLICIES: 'skydns', HOSTLER_ETCD_PREFIX: `/seed${seed}` }
      const rigs = new Map<number, { rig: EtcdRig; wants: readonly Instance[] }>()
      const crashed: EtcdRig[] = []
      let started = 0
      const syncs: Promise<unknown>[] = []
      const start = () => rigs.set(++started, { rig: startEtcdRegistry(env), wants: [] })
      for (let count = 0; count < 4; count++) start()

      for (let step = 0; step < 120; step++) {
        const id = pick([...rigs.keys()])
        const one = rigs.get(id)
        if (!one) continue
        const chance = next()
        if (chance < 0.03) {
          rigs.delete(id)
          crashed.push(one.rig)
          void one.rig.stop()
          start()
        } else if (chance < 0.04) {
          await etcd.kill()
          await etcd.resume()
        } else {
          one.wants = NODES.filter(() => next() < 0.6).map((name) => at(name, pick(['1', '2', '3'])))
          syncs.push(one.rig.sync(one.wants).catch(() => undefined))
        }
        if (next() < 0.3) await delay(next() * 20)
      }
      await Promise.all(syncs)
      for (const { rig, wants } of rigs.values())
        await until('it is in step', () =>
          rig.sync(wants).then(
            () => true,
            () => false,
          ),
        )
      const wanted = smallest([...rigs.values()].flatMap(({ wants }) => wants))
      await until(
        `the nodes are ${JSON.stringify(wanted)}`,
        async () => JSON.stringify(await etcd.all(PREFIX)) === JSON.stringify(wanted),
        10_000,
      ).catch(async (error) => {
        throw new Error(JSON.stringify(await etcd.all('/')), { cause: error })
      })
      judge(await history.stop(), `/seed${seed}/registrar/claims/`)
      for (const { rig } of rigs.values()) await rig.stop()
    },
    60_000,
  )
})

const at = (name: string, last: string): Instance =>
  instance(name, {}, { createdAt: 0, networks: [{ name: 'n', address: `10.0.0.${last}`, shared: false }] })

function smallest(all: readonly Instance[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const { name, networks } of all) {
    const value = JSON.stringify({ host: networks[0]?.address })
    const key = PREFIX + name
    if (found[key] === undefined || value < found[key]) found[key] = value
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Everything that happens in the store, revision by revision. */
async function record(etcd: TestEtcd) {
  const client = new Etcd3({ hosts: etcd.endpoint })
  const revisions = new Map<string, Revision>()
  const watcher = await client.watch().prefix('/').create()
  watcher.on('data', ({ events }) => {
    for (const { type, kv } of events) {
      const revision = revisions.get(kv.mod_revision) ?? []
      revision.push({ key: kv.key.toString(), value: type === 'Put' ? kv.value.toString() : undefined })
      revisions.set(kv.mod_revision, revision)
    }
  })
  return {
    async stop() {
      await etcd.client.put('/last').value('')
      await until('all is told', () => [...revisions.values()].at(-1)?.some(({ key }) => key === '/last'))
      await watcher.cancel()
      client.close()
      return [...revisions.values()]
    },
  }
}

function judge(history: readonly Revision[], claimPrefix: string): void {
  const claims = new Map<string, Map<string, string>>(NODES.map((name) => [PREFIX + name, new Map()]))
  const nodes = new Map<string, string>()
  for (const [index, revision] of history.entries()) {
    for (const { key, value } of revision) {
      if (key.startsWith(claimPrefix)) {
        const [node = '', process = ''] = key.slice(claimPrefix.length).split('/').map(decodeURIComponent)
        if (value === undefined) claims.get(node)?.delete(process)
        else claims.get(node)?.set(process, value)
      } else if (value === undefined) nodes.delete(key)
      else nodes.set(key, value)
    }
    const where = { index, revision }
    for (const [node, all] of claims) {
      const min = [...all.values()].sort()[0]
      const written = revision.find(({ key }) => key === node)
      if (min !== undefined) expect({ ...where, isThere: nodes.has(node) }).toEqual({ ...where, isThere: true })
      if (written) expect({ ...where, value: written.value }).toEqual({ ...where, value: min })
    }
  }
}
