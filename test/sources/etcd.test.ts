import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { loadConfig } from '../../src/config/load.js'
import { silentLogger } from '../../src/lib/logger.js'
import { encodeInstance } from '../../src/model/announced.js'
import type { Instance } from '../../src/model/instance.js'
import { createEtcdSource } from '../../src/sources/etcd.js'
import { startEtcd, type TestEtcd } from '../support/etcd.js'
import { instance } from '../support/instances.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'
import { describeSourceContract } from './contract.js'

const sourceAt = (endpoint: string, more: Record<string, string> = {}) => {
  const env = { ETCD_ENDPOINT: endpoint, HOSTLER_ETCD_PREFIX: '/t', HOSTLER_ETCD_LEASE: '2s', ...more }
  return createEtcdSource(loadConfig({ env }).settings, { log: silentLogger() })
}

const keyOf = (name: string, host = 'other') => `/t/instances/${host}/docker/${name}`
const textOf = (name: string) => encodeInstance(instance(name, { port: '80' }, { createdAt: 0 }))

describeWith(['etcd'], 'the etcd source', () => {
  let etcd: TestEtcd
  beforeAll(async () => {
    etcd = await startEtcd()
  })
  afterEach(() => etcd.client.delete().prefix('/t/').exec())
  afterAll(() => etcd.stop())

  describeSourceContract('etcd', async () => ({
    source: sourceAt(etcd.endpoint),
    async put(names: string[]) {
      const wanted = new Map(names.map((name) => [keyOf(name), textOf(name)]))
      for (const key of await etcd.client.getAll().prefix('/t/').keys())
        if (!wanted.has(key)) await etcd.client.delete().key(key).exec()
      for (const [key, text] of wanted)
        if ((await etcd.client.get(key).string()) !== text) await etcd.client.put(key).value(text)
    },
    breakOff: () => etcd.kill(),
    mend: () => etcd.resume(),
    async close() {
      if (!(await isUp())) await etcd.resume()
    },
  }))

  const isUp = () =>
    etcd.client
      .get('/t')
      .options({ deadline: Date.now() + 500 })
      .string()
      .then(
        () => true,
        () => false,
      )

  test('a list that takes long does not bring back what has gone meanwhile', async () => {
    const keys = Array.from({ length: 3000 }, (_, at) => keyOf(`c${at}`))
    for (let from = 0; from < keys.length; from += 100) {
      const some = keys.slice(from, from + 100)
      await Promise.all(some.map((key) => etcd.client.put(key).value(textOf(key.split('/').at(-1) ?? ''))))
    }
    const source = sourceAt(etcd.endpoint)
    const end = new AbortController()
    let told: readonly Instance[] = []
    const report = (all: readonly Instance[]) => {
      told = all
    }
    const watching = source.watch({ report, failed: () => undefined }, end.signal)
    await until('all are told', () => told.length === keys.length)
    for (const [at, key] of keys.slice(0, 5).entries()) {
      let isUnderWay = true
      const listed = source.list(end.signal).finally(() => {
        isUnderWay = false
      })
      await delay(10 * at)
      await etcd.client.delete().key(key).exec()
      await until('it has gone', () => !told.some(({ name }) => name === `c${at}`))
      const isOlder = isUnderWay
      const names = (await listed).map(({ name }) => name)
      if (isOlder) expect(names).not.toContain(`c${at}`)
    }
    end.abort()
    await watching
  })

  describe('what is announced', () => {
    const list = (more?: Record<string, string>) => sourceAt(etcd.endpoint, more).list(new AbortController().signal)

    test('is an instance with all that its host told of it, under an id of its own', async () => {
      const labels = { port: '80', host: 'a"b\\c\nd' }
      const web = instance('web', labels, {
        ...{ stack: 'shop', service: 'web', health: 'healthy', createdAt: 1234 },
        ports: [{ port: 80, published: { address: '10.0.0.5', port: 32_768 } }],
      })
      await etcd.client.put(keyOf('one', 'host-a')).value(encodeInstance(web))
      await etcd.client.put(keyOf('one', 'host-b')).value(encodeInstance(web))
      expect(await list()).toEqual([
        { ...web, source: 'etcd', id: 'host-a/docker/one' },
        { ...web, source: 'etcd', id: 'host-b/docker/one' },
      ])
    })

    test.each([
      ['no JSON', '{'],
      ['something else', '[1]'],
      ['a wrong state', JSON.stringify({ ...JSON.parse(textOf('x')), state: 'flying' })],
      [
        'an address that is none',
        JSON.stringify({ ...JSON.parse(textOf('x')), networks: [{ name: 'n', address: 'a b', shared: false }] }),
      ],
      ['a port that is none', JSON.stringify({ ...JSON.parse(textOf('x')), ports: [{ port: 70_000 }] })],
      ['far too much', JSON.stringify({ ...JSON.parse(textOf('x')), labels: { a: 'x'.repeat(300_000) } })],
    ])('that is %s is left out, and the others are not', async (_what, text) => {
      await etcd.client.put(keyOf('bad')).value(text)
      await etcd.client.put(keyOf('good')).value(textOf('good'))
      expect((await list()).map(({ name }) => name)).toEqual(['good'])
    })

    test('by this process itself is left out, where it announces', async () => {
      await etcd.client.put(keyOf('mine', 'me')).value(textOf('mine'))
      await etcd.client.put(keyOf('theirs', 'me-too')).value(textOf('theirs'))
      const names = async (more: Record<string, string>) => (await list(more)).map(({ name }) => name)
      expect(await names({ HOSTLER_ANNOUNCE_NAME: 'me', HOSTLER_REGISTRIES: 'etcd' })).toEqual(['theirs'])
      expect(await names({ HOSTLER_ANNOUNCE_NAME: 'me' })).toEqual(['theirs', 'mine'])
    })
  })

  test('a store that comes back empty keeps what it had until its agents have announced again, or for a lease', async () => {
    await etcd.client.put(keyOf('stays')).value(textOf('stays'))
    await etcd.client.put(keyOf('goes')).value(textOf('goes'))
    const reports: (readonly Instance[])[] = []
    const end = new AbortController()
    const failures: unknown[] = []
    const watching = sourceAt(etcd.endpoint).watch(
      { report: (all) => void reports.push(all), failed: (error) => void failures.push(error) },
      end.signal,
    )
    const latest = () => reports.at(-1)?.map(({ name }) => name)
    await until('both are known', () => latest()?.length === 2)
    await etcd.kill()
    await until('the outage is told', () => failures.length === 1)
    const before = reports.length
    await etcd.resume('empty')
    await until('it is followed again', () => reports.length > before)
    expect(latest()).toEqual(['goes', 'stays'])
    await etcd.client.put(keyOf('stays')).value(textOf('stays'))
    await until('what has not come back is forgotten', () => latest()?.length === 1)
    expect(latest()).toEqual(['stays'])
    end.abort()
    await watching
  })
})
