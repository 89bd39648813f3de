import { createServer } from 'node:http'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { Instance } from '../../../src/model/instance.js'
import type { ConsulRegistrySettings } from '../../../src/registries/consul.js'
import type { Registry, SyncResult } from '../../../src/registries/registry.js'
import { startConsul, type TestConsul } from '../../support/consul.js'
import { announce, clear, consulRegistry, servicesOf } from '../../support/consul-rig.js'
import { instance } from '../../support/instances.js'
import { describeWith } from '../../support/servers.js'
import { tempDir } from '../../support/temp.js'
import { until } from '../../support/wait.js'

/** All of 127.X.Y.Z is this machine, which stands for several hosts. */
const HERE = { hostAddress: '127.0.0.1' }

describeWith(['consul'], 'an agent of Consul on each host', () => {
  let server: TestConsul
  let second: TestConsul
  let third: TestConsul
  const opened: Registry[] = []
  const ends: (() => Promise<void>)[] = []
  let stateDir = ''
  beforeAll(async () => {
    // Its node's address is the first one; endpoints on it have the second.
    server = await startConsul({ config: { client_addr: '127.0.0.1 127.0.0.9' } })
    const { port } = server
    second = await startConsul({ of: server, port, address: '127.0.0.2', node: 'node-2' })
    third = await startConsul({ of: server, port, address: '127.0.0.3', node: 'node-3' })
  })
  afterAll(async () => {
    for (const consul of [third, second, server]) await consul?.stop()
  })
  beforeEach(async () => {
    for (const consul of [server, second, third]) await clear(consul)
    stateDir = tempDir()
  })
  afterEach(async () => {
    for (const end of ends.splice(0)) await end()
    for (const registry of opened.splice(0)) await registry.close?.()
  })

  /** Without a memory of earlier runs unless told otherwise. */
  const open = (over: Partial<ConsulRegistrySettings> = {}): Registry => {
    const registry = consulRegistry({ ...server, url: `http://%HOST%:${server.port}` }, { ...HERE, ...over })
    opened.push(registry)
    return registry
  }
  /** As the app looks after it, with a sync whenever it asks for one. */
  const run = (registry: Registry, instances: readonly Instance[]) => {
    const stopping = new AbortController()
    let turn: Promise<unknown> = Promise.resolve()
    const results: SyncResult[] = []
    const sync = () => {
      turn = turn
        .then(() => announce(registry, instances, { signal: stopping.signal }))
        .then((result) => results.push(result))
        .catch(() => undefined)
    }
    const running = registry.run?.(sync, stopping.signal)
    const end = async () => {
      stopping.abort()
      await running
      await turn
    }
    sync()
    ends.push(end)
    return { results, end }
  }
  const on = (name: string, address: string): Instance => ({
    ...instance(name),
    labels: { rancon: '' },
    ports: [{ port: 80, published: { address, port: 80 } }],
  })
  const ids = async (consul: TestConsul) => Object.keys(await servicesOf(consul)).sort()
  const [a, b, c] = [on('a', '127.0.0.2'), on('b', '127.0.0.3'), on('c', '127.0.0.3')]
  const isInCatalog = (name: string) =>
    until(
      `${name} is in the catalog`,
      async () => (await server.call<unknown[]>('GET', `/v1/catalog/service/${name}`)).length,
    )

  test('has what is on its host, and loses it with it', async () => {
    const registry = open()
    expect(await announce(registry, [a, b, c])).toMatchObject({ entries: 3, written: 3, troubles: [] })
    expect([await ids(second), await ids(third)]).toEqual([['a-127-0-0-2-80'], ['b-127-0-0-3-80', 'c-127-0-0-3-80']])
    expect(await announce(registry, [a])).toMatchObject({ entries: 1, removed: 2 })
    expect(await ids(third)).toEqual([])
  })

  test('is looked for in the catalog, when an earlier run has announced something there and this one nothing', async () => {
    await announce(open(), [a, b])
    await isInCatalog('b')
    expect(await announce(open(), [a], { isWhole: false })).toMatchObject({ removed: 0 })
    expect(await announce(open(), [a])).toMatchObject({ entries: 1, removed: 1 })
    expect([await ids(second), await ids(third)]).toEqual([['a-127-0-0-2-80'], []])
  })

  test('that is away is a trouble of its own: what is for the others is written all the same', async () => {
    const registry = open()
    await third.kill()
    const { troubles, ...counts } = await announce(registry, [a, b])
    expect(counts).toEqual({ entries: 1, written: 1, removed: 0 })
    expect(troubles).toEqual([
      expect.stringMatching(/^what belongs at http:\/\/127\.0\.0\.3:\d+ cannot be announced: .*is Consul up there\?/),
    ])
    expect(await ids(second)).toEqual(['a-127-0-0-2-80'])
    await third.resume('kept')
    expect(await announce(registry, [a, b])).toMatchObject({ entries: 2, written: 1, troubles: [] })
  })

  test('fails the call when it is the only one, or none of them can be reached', async () => {
    await third.kill()
    await expect(announce(open(), [b])).rejects.toThrow(/http:\/\/127\.0\.0\.3:.*is Consul up there\?/)
    await third.resume('kept')
  })

  test('that stands still holds up no other for longer than a moment, and is told all when it goes on', async () => {
    const registry = open({ lease: 30_000 })
    await third.pause()
    const { results } = run(registry, [a, b])
    await until('the other one is done', () => results.length > 0)
    expect(results[0]).toMatchObject({
      entries: 1,
      troubles: [expect.stringMatching(/127\.0\.0\.3.* has not answered yet/)],
    })
    third.unpause()
    await until('both are', () => results.at(-1)?.entries === 2)
    expect(results.at(-1)?.troubles).toEqual([])
    expect(await ids(third)).toContain('b-127-0-0-3-80')
  })

  test('that was away is announced to when it is back, although no fact has changed', async () => {
    const registry = open({ lease: 30_000 })
    await third.kill()
    const { results } = run(registry, [a, b])
    await until('the other one is done', () => results.at(-1)?.entries === 1)
    await third.resume('kept')
    await until('both are', () => results.at(-1)?.entries === 2)
    expect(results.at(-1)?.troubles).toEqual([])
  })

  describe('whose node has another address than its endpoints', () => {
    const x = on('x', '127.0.0.9')
    const ID = 'x-127-0-0-9-80'

    test('keeps what was announced to it', async () => {
      await announce(open(), [x])
      await isInCatalog('x')
      expect(await announce(open(), [x])).toMatchObject({ entries: 1, written: 0, removed: 0, troubles: [] })
      expect(await ids(server)).toEqual([ID])
    })

    test('keeps it when two addresses of one host lead there', async () => {
      const registry = open()
      const y = on('y', '127.0.0.1')
      await announce(registry, [x, y])
      expect(await announce(registry, [x, y])).toMatchObject({ entries: 2, written: 0, removed: 0 })
      expect(await ids(server)).toEqual([ID, 'y-127-0-0-1-80'])
      await announce(registry, [x])
      expect(await ids(server)).toEqual([ID])
    })
  })

  test('is remembered: when nothing is announced any more, what an earlier run has left there is taken back', async () => {
    await announce(open({ stateDir }), [a, b])
    expect(await announce(open({ stateDir }), [])).toMatchObject({ entries: 0, removed: 2, troubles: [] })
    expect([await ids(second), await ids(third)]).toEqual([[], []])
  })

  test('is remembered while it is away, and asked again by the next run', async () => {
    await announce(open({ stateDir }), [a, b])
    await third.kill()
    const { removed, troubles } = await announce(open({ stateDir }), [a])
    expect([removed, troubles]).toEqual([
      0,
      [expect.stringMatching(/^what was announced at http:\/\/127\.0\.0\.3:\d+ earlier cannot be taken back: /)],
    ])
    await third.resume('kept')
    expect(await announce(open({ stateDir }), [a])).toMatchObject({ entries: 1, removed: 1, troubles: [] })
  })

  test('is looked for in the catalog again until it could be asked', async () => {
    await announce(open(), [a, b])
    await isInCatalog('b')
    await third.kill()
    const registry = open()
    const url = `http://ann:s3cret@%HOST%:${server.port}`
    expect((await announce(open({ url }), [a])).troubles.join()).not.toContain('s3cret')
    expect((await announce(registry, [a])).troubles).toHaveLength(1)
    await third.resume('kept')
    expect(await announce(registry, [a])).toMatchObject({ removed: 1, troubles: [] })
  })

  test('that is no member of the cluster is sent no token, whatever the catalog says', async () => {
    const asked: unknown[] = []
    const stranger = createServer((request, response) => {
      asked.push(request.headers['x-consul-token'])
      response.end('{}')
    })
    await new Promise<void>((resolve) => stranger.listen(server.port, '127.0.0.66', resolve))
    const Service = { ID: 'evil', Service: 'evil', Tags: ['rancon-cleanup-id-default'] }
    await server.call('PUT', '/v1/catalog/register', { Node: 'evil', Address: '127.0.0.66', Service })
    const { troubles } = await announce(open(), [a]).finally(() => stranger.close())
    await server.call('PUT', '/v1/catalog/deregister', { Node: 'evil' })
    expect(asked).toEqual([])
    expect(troubles).toEqual([
      expect.stringContaining('on a node evil at 127.0.0.66, which is no member of the cluster'),
    ])
  })

  test('is none at the own address of a container, which could have itself sent our token', async () => {
    const networks = [{ name: 'bridge', address: '127.0.0.2', shared: false }]
    const sly: Instance = { ...on('sly', ''), networks, ports: [{ port: 80 }] }
    const { entries, troubles } = await announce(open({ hostAddress: '' }), [sly])
    expect(entries).toBe(0)
    expect(troubles).toEqual([expect.stringMatching(/^container sly: .*publish a port/)])
    expect(await ids(second)).toEqual([])
    const onHost = { ...sly, networks: [{ name: 'host', address: '127.0.0.2', shared: true }] }
    expect(await announce(open({ hostAddress: '' }), [onHost])).toMatchObject({ entries: 1, troubles: [] })
  })
})

describeWith(['consul'], 'an agent of Consul on each host, with tokens', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul({ acl: true, config: { client_addr: '127.0.0.1 127.0.0.9' } })
  })
  afterAll(() => consul?.stop())

  const at = (name: string, address: string): Instance => ({
    ...instance(name),
    labels: { rancon: '' },
    ports: [{ port: 80, published: { address, port: 80 } }],
  })
  const announcedBy = async (rules: string, instances: readonly Instance[]) => {
    const token = await consul.createToken(rules)
    const registry = consulRegistry({ ...consul, token, url: `http://%HOST%:${consul.port}` }, HERE)
    return announce(registry, instances).finally(() => registry.close?.())
  }
  const WRITE = 'service_prefix "" { policy = "write" }'
  const isListed = (name: string) =>
    until(
      `${name} is in the catalog`,
      async () => (await consul.call<unknown[]>('GET', `/v1/catalog/service/${name}`)).length,
    )

  test('says which right is wanting, when the catalog does not tell where something of ours is', async () => {
    await announcedBy(WRITE, [at('x', '127.0.0.9')])
    await isListed('x')
    const { troubles } = await announcedBy(WRITE, [at('x', '127.0.0.9')])
    expect(troubles).toEqual([expect.stringContaining('node_prefix "": read')])
  })

  test('keeps what is asked for, when a token may not know how nodes are called', async () => {
    await announcedBy(WRITE, [at('x', '127.0.0.9')])
    await isListed('x')
    const rules = `${WRITE} node_prefix "" { policy = "read" }`
    expect(await announcedBy(rules, [at('x', '127.0.0.9')])).toMatchObject({ entries: 1, removed: 0, troubles: [] })
    expect(await announcedBy(rules, [at('y', '127.0.0.9')])).toMatchObject({ entries: 1, written: 1, removed: 1 })
  })
})
