import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { messageOf } from '../../../src/lib/errors.js'
import type { Instance } from '../../../src/model/instance.js'
import type { ConsulRegistrySettings } from '../../../src/registries/consul.js'
import type { Registry } from '../../../src/registries/registry.js'
import { startConsul, type TestConsul } from '../../support/consul.js'
import { announce, clear, consulRegistry, servicesOf } from '../../support/consul-rig.js'
import { instance } from '../../support/instances.js'
import { describeWith } from '../../support/servers.js'

const named = (name: string): Instance => ({
  ...instance(name),
  labels: { rancon: '' },
  ports: [{ port: 80, published: { address: '10.1.0.1', port: 80 } }],
})
const [web, api] = [named('web'), named('api')]
const IDS = ['api-10-1-0-1-80', 'web-10-1-0-1-80']

const opened: Registry[] = []
afterEach(async () => {
  for (const registry of opened.splice(0)) await registry.close?.()
})

function open(consul: TestConsul, over: Partial<ConsulRegistrySettings> = {}): Registry {
  const registry = consulRegistry(consul, over)
  opened.push(registry)
  return registry
}

const failure = (registry: Registry, instances: readonly Instance[]): Promise<string> =>
  announce(registry, instances).then(() => 'it went well', messageOf)

describeWith(['consul'], 'announcing in a Consul that asks for tokens', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul({ acl: true })
  })
  afterAll(() => consul?.stop())
  beforeEach(() => clear(consul))

  const withRules = async (rules: string, over: Partial<ConsulRegistrySettings> = {}) =>
    open(consul, { ...over, token: await consul.createToken(rules) })

  test('takes the right to write services, and nothing more', async () => {
    const registry = await withRules('service_prefix "" { policy = "write" }', { lease: 30_000 })
    expect(await announce(registry, [api, web])).toMatchObject({ entries: 2, written: 2, troubles: [] })
    expect(await announce(registry, [api, web])).toMatchObject({ entries: 2, written: 0, removed: 0 })
    expect(await announce(registry, [api])).toMatchObject({ entries: 1, removed: 1 })
  })

  test('what was written with another token is written again: the agent would go on with the old one', async () => {
    const rules = 'service_prefix "" { policy = "write" }'
    await announce(await withRules(rules, { lease: 30_000 }), [api, web])
    const renewed = await withRules(rules, { lease: 30_000 })
    expect(await announce(renewed, [api, web])).toMatchObject({ entries: 2, written: 2, removed: 0 })
    expect(await announce(renewed, [api, web])).toMatchObject({ entries: 2, written: 0, removed: 0 })
  })

  test('a token that nobody knows deletes nothing, and is named', async () => {
    await announce(open(consul), [api, web])
    const told = await failure(open(consul, { token: '00000000-0000-4000-8000-000000000000' }), [])
    expect(told).toMatch(/is not allowed: "ACL not found"; is CONSUL_HTTP_TOKEN right\?/)
    expect(Object.keys(await servicesOf(consul)).sort()).toEqual(IDS)
  })

  test.each<[string, Partial<ConsulRegistrySettings>]>([
    ['none', {}],
    ['none, with a lease', { lease: 30_000 }],
  ])('no token at all (%s) is no empty agent: nothing is deleted, and it is named', async (_, over) => {
    await announce(open(consul), [api, web])
    expect(await failure(open(consul, { ...over, token: '' }), [api])).toMatch(/Permission denied.*needs more rights/)
    expect(Object.keys(await servicesOf(consul)).sort()).toEqual(IDS)
  })

  test('a token for some names only announces those, and names the containers of the others', async () => {
    const registry = await withRules('service "web" { policy = "write" } service_prefix "" { policy = "read" }')
    const { entries, troubles } = await announce(registry, [api, web])
    expect(entries).toBe(1)
    expect(troubles).toEqual([expect.stringMatching(/^container api: PUT .*Permission denied/)])
    expect(Object.keys(await servicesOf(consul))).toEqual(['web-10-1-0-1-80'])
  })

  test('a name that a container may not have costs it no entry that it had', async () => {
    const registry = await withRules('service_prefix "web" { policy = "write" } service "api" { policy = "write" }')
    await announce(registry, [api, web])
    const renamed = { ...web, labels: { 'rancon.name': 'shop' } }
    const { troubles, ...counts } = await announce(registry, [api, renamed])
    expect(counts).toEqual({ entries: 1, written: 0, removed: 0 })
    expect(troubles).toEqual([expect.stringMatching(/^container web: PUT .*Permission denied/)])
    expect(Object.keys(await servicesOf(consul)).sort()).toEqual(IDS)
    expect(await announce(registry, [api, { ...web, labels: { 'rancon.name': 'web2' } }])).toMatchObject({ removed: 1 })
  })

  test('no right at all is no success of a pass that has nothing to announce', async () => {
    await announce(open(consul), [api, web])
    expect(await failure(open(consul, { token: '' }), [])).toMatch(/Permission denied.*needs more rights/)
    expect(Object.keys(await servicesOf(consul)).sort()).toEqual(IDS)
  })

  test('no right at all is told by a look beforehand', async () => {
    const here = new AbortController().signal
    await expect(open(consul, { token: '' }).check?.(here)).rejects.toThrow(/needs more rights/)
    const registry = await withRules('service_prefix "" { policy = "write" }', { lease: 30_000 })
    expect(await registry.check?.(here)).toMatch(/^0 services at /)
    expect(await servicesOf(consul)).toEqual({})
  })
})

test.each<[string, number, string]>([
  ['a web server that knows no such page', 404, '/v1'],
  ['a page of somebody', 200, ''],
])('announcing to %s fails, and says so', async (_, status, path) => {
  const server = createServer((__, response) => void response.writeHead(status).end('<html>'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`
  const nobody = { url, token: '', tls: { ca: '', cert: '', key: '', expired: { cert: '', key: '' } } }
  const registry = consulRegistry(nobody)
  opened.push(registry)
  expect(await failure(registry, [web])).toMatch(/is that a Consul\?/)
  await expect(registry.check?.(new AbortController().signal)).rejects.toThrow(/is that a Consul\?/)
  server.close()
})

describeWith(['consul'], 'announcing in a Consul that speaks TLS', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul({ tls: true })
  })
  afterAll(() => consul?.stop())

  test('works with CA and certificate, by any of its names', async () => {
    const url = consul.url.replace('127.0.0.1', 'localhost')
    expect(await announce(open(consul, { url }), [api, web])).toMatchObject({ entries: 2, written: 2 })
  })

  test.each<[string, () => Partial<ConsulRegistrySettings>, RegExp]>([
    ['an expired certificate', () => consul.tls.expired, /has expired on/],
    ['no certificate', () => ({ cert: '', key: '' }), /set CONSUL_CLIENT_CERT/],
    ['another server name', () => ({ serverName: 'x.example.com' }), /is for other names/],
  ])('with %s it is named and nothing is deleted', async (_, over, message) => {
    await announce(open(consul), [api, web])
    expect(await failure(open(consul, over()), [])).toMatch(message)
    expect(Object.keys(await servicesOf(consul)).sort()).toEqual(IDS)
  })
})

describeWith(['consul'], 'announcing in a Consul that is away', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul()
  })
  afterAll(() => consul?.stop())

  test('fails, and succeeds with the same facts when it is back', async () => {
    const registry = open(consul)
    await announce(registry, [api])
    await consul.kill()
    expect(await failure(registry, [api, web])).toMatch(/failed; is Consul up there\?.*ECONNREFUSED/)
    await consul.resume('lost')
    expect(await announce(registry, [api, web])).toMatchObject({ entries: 2, written: 2 })
  })

  test('is told by a look beforehand', async () => {
    const here = new AbortController().signal
    expect(await open(consul).check?.(here)).toMatch(/^\d+ services at http:\/\/127\.0\.0\.1:\d+$/)
    await consul.kill()
    await expect(open(consul).check?.(here)).rejects.toThrow('is Consul up there?')
    await consul.resume('kept')
    const byHost = open(consul, { url: 'http://%HOST%:8500' })
    expect(await byHost.check?.(here)).toBe('its agents are known once something runs')
  })

  test('ends at once when it is told to', async () => {
    const registry = open(consul)
    await consul.pause()
    const stopping = new AbortController()
    const syncing = announce(registry, [api], { signal: stopping.signal })
    stopping.abort()
    await expect(syncing).rejects.toThrow('abort')
    consul.unpause()
  })
})
