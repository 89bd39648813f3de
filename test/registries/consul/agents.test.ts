import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import type { Instance } from '../../../src/model/instance.js'
import type { Registry } from '../../../src/registries/registry.js'
import { startConsul, type TestConsul } from '../../support/consul.js'
import { announce, clear, consulRegistry, servicesOf } from '../../support/consul-rig.js'
import { instance } from '../../support/instances.js'
import { describeWith } from '../../support/servers.js'
import { until } from '../../support/wait.js'

describeWith(['consul'], 'an agent of Consul on each host', () => {
  let server: TestConsul
  let second: TestConsul
  let third: TestConsul
  const opened: Registry[] = []
  beforeAll(async () => {
    server = await startConsul()
    const { port } = server
    second = await startConsul({ of: server, port, address: '127.0.0.2', node: 'node-2' })
    third = await startConsul({ of: server, port, address: '127.0.0.3', node: 'node-3' })
  })
  afterAll(async () => {
    for (const consul of [third, second, server]) await consul?.stop()
  })
  beforeEach(async () => {
    for (const consul of [second, third]) await clear(consul)
  })
  afterEach(async () => {
    for (const registry of opened.splice(0)) await registry.close?.()
  })

  const open = (): Registry => {
    const registry = consulRegistry({ ...server, url: `http://%HOST%:${server.port}` })
    opened.push(registry)
    return registry
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

  test('that is away fails the call, and what is for the others is written all the same', async () => {
    const registry = open()
    await third.kill()
    await expect(announce(registry, [a, b])).rejects.toThrow(/http:\/\/127\.0\.0\.3:.*is Consul up there\?/)
    expect(await ids(second)).toEqual(['a-127-0-0-2-80'])
    await third.resume('kept')
    expect(await announce(registry, [a, b])).toMatchObject({ entries: 2, written: 1 })
  })
})
