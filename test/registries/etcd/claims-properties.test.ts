import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { Etcd3 } from 'etcd3'
import type { Instance } from '../../../src/model/instance.js'
import { startEtcd, type TestEtcd } from '../../support/etcd.js'
import { type EtcdRig, startEtcdRegistry } from '../../support/etcd-rig.js'
import { instance } from '../../support/instances.js'
import { seededRandom } from '../../support/random.js'
import { describeWith } from '../../support/servers.js'
import { startTcpRelay, type TcpRelay } from '../../support/tcp-relay.js'
import { until } from '../../support/wait.js'

const NODES = ['x', 'y', 'z']
const PREFIX = '/skydns/local/skydns/'
const SEEDS = process.env['CLAIM_SEEDS']?.split(',').map(Number) ?? [1, 2, 3]

/** One change of the store: everything that one transaction, or the end of one lease, did. */
type Revision = { readonly key: string; readonly value: string | undefined }[]

interface Member {
  readonly name: string
  readonly rig: EtcdRig
  readonly relay: TcpRelay
  wants: readonly Instance[]
}

/** What happens beside that somebody wants something else: how often in a hundred steps. */
interface Mishaps {
  readonly crash: number
  readonly restart: number
  /** A connection that breaks off, before or after etcd has done what it was asked for. */
  readonly cut: number
  /** etcd begins anew with nothing. */
  readonly loss: number
}

describeWith(['etcd'], 'claims of many who do not wait for each other', () => {
  let etcd: TestEtcd
  let members: Member[] = []
  let started = 0
  beforeAll(async () => {
    etcd = await startEtcd()
  })
  afterEach(async () => {
    await Promise.all(members.splice(0).map(leave))
  })
  afterAll(() => etcd.stop())

  const leave = async ({ rig, relay }: Member) => {
    await rig.stop()
    await relay.stop()
  }

  test.each(SEEDS)(
    'a node that is claimed is never missing, and whoever writes it writes the smallest value that is claimed (seed %i)',
    async (seed) => {
      await etcd.client.delete().all().exec()
      const history = await record(etcd)
      await play(`/seed${seed}`, { seed, steps: 120 }, { crash: 3, restart: 1, cut: 2, loss: 0 })
      await comesRight(`/seed${seed}`)
      judge(await history.stop(), `/seed${seed}/registrar/claims/`)
    },
  )

  test.each(SEEDS)(
    'whatever breaks on the way and whatever etcd forgets, everybody claims in the end what he wants, and nothing else (seed %i)',
    async (seed) => {
      await etcd.client.delete().all().exec()
      for (let round = 0; round < 4; round++) {
        const wants = await play(
          `/lost${seed}`,
          { seed: 10 * seed + round, steps: 8 },
          { crash: 0, restart: 2, cut: 40, loss: 4 },
        )
        // What the last attempt has left behind is wanted no more.
        for (const member of members) member.wants = wants()
        await comesRight(`/lost${seed}`)
      }
    },
  )

  async function play(prefix: string, { seed, steps }: { seed: number; steps: number }, mishaps: Mishaps) {
    const { next, pick } = seededRandom(seed)
    const syncs: Promise<unknown>[] = []
    const wants = () => NODES.filter(() => next() < 0.6).map((name) => at(name, pick(['1', '2', '3'])))
    const start = async () => {
      const [name, relay] = [`host-${++started}`, await startTcpRelay(etcd.port)]
      // The shared lease is that of whoever comes first, and the others may have longer ones.
      const lease = { HOSTLER_ETCD_LEASE: pick(['1s', '4s']) }
      const env = { ETCD_ENDPOINT: relay.endpoint, ...lease, HOSTLER_POLICIES: 'skydns' }
      const rig = startEtcdRegistry({ ...env, HOSTLER_ETCD_PREFIX: prefix, HOSTLER_ANNOUNCE_NAME: name })
      members.push({ ...{ name, rig, relay }, wants: [] })
    }
    const say = (member: Member) => {
      member.wants = wants()
      syncs.push(member.rig.sync(member.wants).catch(() => undefined))
    }
    const acts: Record<keyof Mishaps, (member: Member) => Promise<void>> = {
      async crash(member) {
        members = members.filter((one) => one !== member)
        syncs.push(leave(member))
        await start()
      },
      async restart() {
        await etcd.kill()
        await etcd.resume()
      },
      async cut(member) {
        if (next() < 0.5) member.relay.swallowAnswers()
        say(member)
        await delay(next() * 10)
        member.relay.cut()
        member.relay.goOn()
      },
      async loss() {
        await etcd.kill()
        await etcd.resume('empty')
      },
    }
    const choices = Object.entries(mishaps).flatMap(([act, count]) =>
      Array<keyof Mishaps>(count).fill(act as keyof Mishaps),
    )
    while (members.length < 4) await start()
    for (let step = 0; step < steps; step++) {
      const member = pick(members)
      const act = choices[Math.floor(next() * 100)]
      if (act) await acts[act](member)
      else say(member)
      if (next() < 0.3) await delay(next() * 20)
    }
    await Promise.all(syncs)
    return wants
  }

  /** Told once more what they want, as the loop does after a failure and when they ask for it. */
  async function comesRight(prefix: string): Promise<void> {
    const wanted = JSON.stringify({
      nodes: smallest(members.flatMap(({ wants }) => wants)),
      claims: Object.fromEntries(members.map(({ name, wants }) => [name, smallest(wants)]).sort()),
    })
    let found = ''
    await until('nodes and claims are what is wanted', async () => {
      await Promise.all(members.map(({ rig, wants }) => rig.sync(wants)))
      found = JSON.stringify({ nodes: await etcd.all(PREFIX), claims: await claimsByName(`${prefix}/registrar/`) })
      return found === wanted
    }).catch((cause) => {
      throw new Error(`${found} instead of ${wanted}`, { cause })
    })
  }

  /** Two processes of one name are two runs, of which the first one has still to end. */
  async function claimsByName(prefix: string): Promise<Record<string, Record<string, string>>> {
    const all = Object.entries(await etcd.all(prefix))
    const told = all.filter(([key]) => key.startsWith(`${prefix}processes/`))
    const result: Record<string, Record<string, string>> = {}
    for (const [key, said] of told.sort(([, a], [, b]) => (nameIn(a) < nameIn(b) ? -1 : 1))) {
      const process = key.slice(`${prefix}processes/`.length)
      const claims = all.filter(([claim]) => claim.startsWith(`${prefix}claims/`) && claim.endsWith(`/${process}`))
      const name = nameIn(said)
      result[result[name] ? `${name} again` : name] = Object.fromEntries(
        claims.map(([claim, value]) => [
          decodeURIComponent(claim.slice(`${prefix}claims/`.length).split('/')[0] ?? ''),
          value,
        ]),
      )
    }
    return result
  }
})

const nameIn = (said: string): string => (JSON.parse(said) as { name: string }).name

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
