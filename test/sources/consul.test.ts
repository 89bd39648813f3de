import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { silentLogger } from '../../src/lib/logger.js'
import { type Instance, isLive } from '../../src/model/instance.js'
import type { Registry } from '../../src/registries/registry.js'
import { type ConsulSourceSettings, createConsulSource } from '../../src/sources/consul.js'
import type { Source } from '../../src/sources/source.js'
import { startConsul, type TestConsul } from '../support/consul.js'
import { accessTo } from '../support/consul-access.js'
import { announce, clear, consulRegistry, register, servicesOf } from '../support/consul-rig.js'
import { instance } from '../support/instances.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'
import { describeSourceContract } from './contract.js'

const sourceOf = (
  consul: Pick<TestConsul, 'url' | 'token' | 'tls'>,
  over: Partial<ConsulSourceSettings> = {},
): Source =>
  createConsulSource(
    { ...accessTo(consul), tag: 'hostler', labelPrefix: 'hostler', lease: 30_000, ...over },
    { log: silentLogger() },
  )

const signal = new AbortController().signal

describeWith(['consul'], 'the consul source', () => {
  describe.each([
    ['consul', {}],
    ['consul, with TLS and tokens', { tls: true, acl: true }],
  ])('%s', (title, options) => {
    let consul: TestConsul
    beforeAll(async () => {
      consul = await startConsul(options)
    })
    afterAll(() => consul?.stop())

    describeSourceContract(title, async () => {
      await clear(consul)
      return {
        source: sourceOf(consul),
        async put(names: string[]) {
          const there = Object.keys(await servicesOf(consul))
          for (const name of there.filter((id) => !names.includes(id)))
            await consul.call('PUT', `/v1/agent/service/deregister/${name}`)
          for (const ID of names.filter((id) => !there.includes(id)))
            await register(consul, { ID, Name: 'web', Port: 80, Address: '10.0.0.1', Tags: ['hostler'] })
          // The agent tells the catalog a moment later.
          await until('the catalog has them', async () => {
            const { Services } = await consul.call<{ Services: { ID: string }[] }>(
              'GET',
              '/v1/catalog/node-services/node-1',
            )
            const ids = Services.map(({ ID }) => ID).filter((id) => id !== 'consul')
            return ids.sort().join() === [...names].sort().join()
          })
        },
        breakOff: () => consul.kill(),
        mend: () => consul.resume('kept'),
        close: async () => undefined,
      }
    })
  })
})

describeWith(['consul'], 'what the consul source reads', () => {
  let consul: TestConsul
  const opened: Registry[] = []
  beforeAll(async () => {
    consul = await startConsul()
  })
  afterAll(() => consul?.stop())
  beforeEach(() => clear(consul))
  afterEach(async () => {
    for (const registry of opened.splice(0)) await registry.close?.()
  })

  const open = (announcer = 'host-a', over = {}) => {
    const registry = consulRegistry(consul, { announcer, ...over })
    opened.push(registry)
    return registry
  }
  /** As soon as the catalog has that many. */
  const read = (count: number, source = sourceOf(consul)) =>
    until(`there are ${count}`, async () => {
      const all = await source.list(signal)
      return all.length === count && all
    })

  const web: Instance = {
    ...instance('shop-web-1'),
    ...{ stack: 'shop', service: 'web', createdAt: 1234 },
    labels: { 'hostler.port': '80', 'hostler.host': 'shop.example.com' },
    networks: [{ name: 'overlay', address: '10.5.0.7', shared: false }],
    ports: [{ port: 80, published: { address: '10.1.0.1', port: 8080 } }, { port: 81 }],
  }

  test('is what another Hostler has announced, whole, each instance once', async () => {
    const two = { ...web, labels: { ...web.labels, 'hostler.routes.admin.port': '81' } }
    await announce(open('host-a'), [two])
    await announce(open('host-b', { cleanupId: 'b' }), [{ ...two, createdAt: 99 }])
    expect(Object.keys(await servicesOf(consul))).toHaveLength(4)
    expect(await read(2)).toEqual([
      { ...two, id: 'host-a/test shop-web-1', source: 'consul' },
      { ...two, id: 'host-b/test shop-web-1', source: 'consul', createdAt: 99 },
    ])
  })

  test('is any service with the tag: its tags and meta are labels, its name is the stack', async () => {
    const Tags = ['hostler', 'hostler.host=a.example.com', 'hostler.path=/x=y', 'other', 'x.hostler.y=z']
    await register(consul, {
      ID: 'api-7',
      Name: 'api',
      Port: 7000,
      Tags,
      Meta: { 'hostler-sticky': 'true', team: 'x' },
    })
    await register(consul, { ID: 'no-tag', Name: 'api', Port: 7001, Address: '10.0.0.1' })
    await register(consul, {
      ...{ ID: 'proxy', Name: 'api-proxy', Port: 7002, Tags, Kind: 'connect-proxy' },
      Proxy: { DestinationServiceName: 'api' },
    })
    await register(consul, { ID: 'no-port', Name: 'api', Tags: ['hostler'] })
    expect(await read(1)).toEqual([
      {
        ...{ id: 'node-1/api-7', source: 'consul', name: 'api-7', stack: 'api', service: 'api' },
        labels: {
          ...{ 'hostler.port': '7000', 'hostler.sticky': 'true' },
          ...{ 'hostler.host': 'a.example.com', 'hostler.path': '/x=y' },
        },
        ...{ state: 'running', health: 'none', createdAt: 0 },
        networks: [{ name: 'consul', address: '127.0.0.1', shared: false }],
        ports: [{ port: 7000 }],
      },
    ])
  })

  const checked = (Status: string) => ({
    ...{ ID: 'api-7', Name: 'api', Port: 7000, Tags: ['hostler'] },
    Check: { CheckID: 'c', TTL: '1h', Status },
  })

  test.each([
    ['passing', 'running', 'healthy'],
    ['critical', 'running', 'unhealthy'],
    ['warning', 'running', 'unhealthy'],
  ])('whose check is %s is %s and %s', async (status, state, health) => {
    await register(consul, checked(status))
    expect(await read(1)).toMatchObject([{ state, health }])
  })

  test('gets no traffic in maintenance, be it its own or that of its node', async () => {
    const live = async (wanted: boolean) =>
      until(`live is ${wanted}`, async () => (await read(1)).every(isLive) === wanted)
    await register(consul, checked('passing'))
    await live(true)
    await consul.call('PUT', '/v1/agent/service/maintenance/api-7?enable=true')
    await live(false)
    await consul.call('PUT', '/v1/agent/service/maintenance/api-7?enable=false')
    await live(true)
    await consul.call('PUT', '/v1/agent/maintenance?enable=true')
    await live(false)
    await consul.call('PUT', '/v1/agent/maintenance?enable=false')
    await live(true)
  })

  test('of another Hostler fares as that says, or worse', async () => {
    const registry = open()
    await announce(registry, [web])
    expect(await read(1)).toMatchObject([{ state: 'running', health: 'none' }])
    await announce(registry, [web], { draining: [web] })
    await until('it drains', async () => (await read(1))[0]?.state === 'stopping')
    await announce(registry, [{ ...web, state: 'paused' }])
    await until('it is paused', async () => (await read(1))[0]?.state === 'paused')
  })

  test('that is not what a Hostler writes is left out, and harms nobody else', async () => {
    await announce(open(), [web])
    const Tags = ['hostler']
    const meta = (text: string) => ({ 'hostler-announcer': 'evil', 'hostler-instance-00': text })
    const bad = ['{', '{}', 'null', JSON.stringify({ ...web, networks: [{ name: 'x', address: 'a b', shared: true }] })]
    for (const [at, text] of bad.entries())
      await register(consul, { ID: `bad-${at}`, Name: 'bad', Port: 1, Tags, Meta: meta(text) })
    await until('all are in the catalog', async () => {
      const { Services } = await consul.call<{ Services: unknown[] }>('GET', '/v1/catalog/node-services/node-1')
      return Services.length === bad.length + 2
    })
    expect((await read(1)).map(({ name }) => name)).toEqual(['shop-web-1'])
  })

  test('somebody who writes as another cannot take a live one away', async () => {
    await announce(open(), [web])
    const [entry] = Object.values(await servicesOf(consul))
    const Meta = { ...entry?.Meta, 'hostler-instance-00': JSON.stringify({ ...web, state: 'stopped' }) }
    for (const key of Object.keys(Meta)) if (/-0[1-9]$/.test(key)) delete (Meta as Record<string, unknown>)[key]
    await register(consul, { ID: 'a-evil', Name: 'evil', Port: 1, Tags: ['hostler'], Meta })
    await until('the catalog has both', async () => {
      const { Services } = await consul.call<{ Services: unknown[] }>('GET', '/v1/catalog/node-services/node-1')
      return Services.length === 3
    })
    expect((await read(1)).every(isLive)).toBe(true)
  })

  test('is not what this process announces itself', async () => {
    await announce(open('host-a'), [web])
    await announce(open('host-b', { cleanupId: 'b' }), [web])
    await read(2)
    expect((await sourceOf(consul, { own: 'host-a' }).list(signal)).map(({ id }) => id)).toEqual([
      'host-b/test shop-web-1',
    ])
  })

  test('follows changes of health without a relist', async () => {
    await register(consul, checked('passing'))
    await watching(sourceOf(consul), async ({ reports }) => {
      await until('it is healthy', () => reports.at(-1)?.[0]?.health === 'healthy')
      await consul.call('PUT', '/v1/agent/check/fail/c')
      await until('it is not', () => reports.at(-1)?.[0]?.health === 'unhealthy')
      await consul.call('PUT', '/v1/agent/check/pass/c')
      await until('it is again', () => reports.at(-1)?.[0]?.health === 'healthy')
    })
  })
})

describeWith(['consul'], 'an answer of Consul that is late', () => {
  let consul: TestConsul
  let relay: Relay
  beforeAll(async () => {
    consul = await startConsul()
    relay = await startRelay(consul.url)
  })
  afterAll(async () => {
    relay?.close()
    await consul?.stop()
  })
  beforeEach(() => clear(consul))

  const put = (name: string, Check?: object) =>
    register(consul, {
      ID: name,
      Name: name,
      Port: 80,
      Address: '10.0.0.1',
      Tags: ['hostler'],
      ...(Check && { Check }),
    })
  const names = (instances: readonly Instance[] | undefined) => instances?.map(({ name }) => name).join(' ')

  test('does not take back what was followed meanwhile', async () => {
    await put('a')
    await put('b')
    const source = sourceOf({ ...consul, url: relay.url })
    relay.hold((path) => path.includes('/node-services/') && !path.includes('index='))
    const listed = source.list(signal)
    await until('the old answer is on its way', () => relay.held() === 1)
    await watching(source, async ({ reports }) => {
      await until('both are reported', () => names(reports.at(-1)) === 'a b')
      await consul.call('PUT', '/v1/agent/service/deregister/b')
      await until('b is gone', () => names(reports.at(-1)) === 'a')
      relay.release()
      expect(names(await listed)).toBe('a')
      expect(names(reports.at(-1))).toBe('a')
    })
  })

  test('is asked for by no list while everything is followed', async () => {
    await put('a')
    const source = sourceOf({ ...consul, url: relay.url })
    await watching(source, async ({ reports }) => {
      await until('it is reported', () => names(reports.at(-1)) === 'a')
      relay.hold((path) => path.includes('/node') && !path.includes('index=') && !path.endsWith('/catalog/nodes'))
      expect(names(await source.list(signal))).toBe('a')
      expect(relay.held()).toBe(0)
      relay.release()
    })
  })

  test('breaks off a list, which is no outage for who follows: what goes then goes at once', async () => {
    await put('a')
    await put('b')
    const source = sourceOf({ ...consul, url: relay.url }, { lease: 600_000 })
    await watching(source, async ({ reports, failures }) => {
      await until('both are reported', () => names(reports.at(-1)) === 'a b')
      relay.hold((path) => !path.includes('index='))
      const listed = source.list(signal).catch((error: unknown) => error)
      await until('it is asked', () => relay.held() === 1)
      relay.drop()
      expect(await listed).toBeInstanceOf(Error)
      await consul.call('PUT', '/v1/agent/service/deregister/b')
      await until('b is gone', () => names(reports.at(-1)) === 'a')
      expect(failures).toEqual([])
    })
  })

  test('about checks does not make well what has failed meanwhile', async () => {
    await put('a', { CheckID: 'c', TTL: '1h', Status: 'passing' })
    await watching(sourceOf({ ...consul, url: relay.url }), async ({ reports }) => {
      const health = (name: string) => reports.at(-1)?.find((one) => one.name === name)?.health
      await until('a is well', () => health('a') === 'healthy')
      relay.hold((path) => path.includes('/health/node/') && !path.includes('index='))
      await put('b')
      await until('the old answer is on its way', () => relay.held() === 1)
      await consul.call('PUT', '/v1/agent/check/fail/c')
      await until('a has failed', () => health('a') === 'unhealthy')
      relay.release()
      await until('b is told too', () => health('b') !== undefined)
      expect(health('a')).toBe('unhealthy')
    })
  })
})

interface Relay {
  readonly url: string
  /** Answers to such paths are fetched at once and kept back. */
  hold(isHeld: (path: string) => boolean): void
  held(): number
  /** Passes on what is held. */
  release(): void
  /** Ends the connections of what is held. */
  drop(): void
  close(): void
}

async function startRelay(target: string): Promise<Relay> {
  let isHeld: (path: string) => boolean = () => false
  const held: { readonly reply: () => void; readonly drop: () => void }[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const relayed = async () => {
      const answer = await fetch(target + path, { signal: gone.signal })
      const body = await answer.text()
      const index = answer.headers.get('x-consul-index')
      const reply = () => response.writeHead(answer.status, index === null ? {} : { 'x-consul-index': index }).end(body)
      if (isHeld(path)) held.push({ reply, drop: () => request.socket.destroy() })
      else reply()
    }
    relayed().catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold(next) {
      isHeld = next
    },
    held: () => held.length,
    release() {
      isHeld = () => false
      for (const { reply } of held.splice(0)) reply()
    },
    drop() {
      isHeld = () => false
      for (const { drop } of held.splice(0)) drop()
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** A server that answers as a newer Consul does: it says that something is left out. */
const withHeader = (only: RegExp) =>
  createServer((request, response) => {
    const path = request.url ?? ''
    const Service = { ID: 'consul', Service: 'consul', Address: '', Port: 8300, Tags: [], Meta: {}, ModifyIndex: 1 }
    const answer = path.includes('/nodes')
      ? [{ Node: 'n', Address: '10.0.0.1' }]
      : path.includes('/node-services/')
        ? { Services: [Service, { ...Service, ID: 'a', Service: 'a', Tags: ['hostler'] }] }
        : []
    const filtered = only.test(path) ? { 'x-consul-results-filtered-by-acls': 'true' } : {}
    response.writeHead(200, { 'x-consul-index': '7', ...filtered }).end(JSON.stringify(answer))
  })

test.each([['nodes'], ['node-services'], ['health/node']])(
  'a Consul that says it has left out something of its %s is believed, whatever is left',
  async (what) => {
    const server = withHeader(new RegExp(what))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const nobody = { url, token: '', tls: { ca: '', cert: '', key: '', expired: { cert: '', key: '' } } }
    const listing = sourceOf(nobody).list(signal)
    await expect(listing).rejects.toMatchObject({ code: 'CONSUL_DENIED' })
    server.close()
  },
)

describeWith(['consul'], 'an outage of Consul', () => {
  let consul: TestConsul
  beforeEach(async () => {
    consul = await startConsul()
  })
  afterEach(() => consul.stop())
  const put = (name: string) =>
    register(consul, { ID: name, Name: name, Port: 80, Address: '10.0.0.1', Tags: ['hostler'] })
  const names = (instances: readonly Instance[] | undefined) => instances?.map(({ name }) => name).join(' ')

  test('in which it lost its state does not read as "nothing runs": what is not told again goes after the lease', async () => {
    await put('a')
    await put('b')
    await watching(sourceOf(consul, { lease: 3000, retelling: 3000 }), async ({ reports, failures }) => {
      await until('both are reported', () => names(reports.at(-1)) === 'a b')
      const before = reports.length
      await consul.kill()
      await until('the outage is told', () => failures.length === 1)
      await consul.resume('lost')
      await put('b')
      await until('it reports again', () => reports.length > before)
      await until('a is given up', () => names(reports.at(-1)) === 'b')
      expect(reports.slice(before, -1).map(names)).toEqual(reports.slice(before, -1).map(() => 'a b'))
      expect(reports.slice(before, -1).length).toBeGreaterThan(0)
    })
  })

  test('in which the newest of all was taken away is no loss of state: that goes after the lease', async () => {
    await put('a')
    await put('b')
    const source = sourceOf(consul, { lease: 1500, retelling: 600_000 })
    const listed = async () => names(await source.list(signal))
    expect(await listed()).toBe('a b')
    await consul.kill()
    await expect(source.list(signal)).rejects.toThrow(/is Consul up there/)
    await consul.resume('kept')
    await consul.call('PUT', '/v1/agent/service/deregister/b')
    expect(await listed()).toBe('a b')
    await until('it has gone', async () => (await listed()) === 'a')
  })

  test('after which nothing was looked at yet costs nobody traffic: what was well is so for a while', async () => {
    const ttl = (id: string) => ({ CheckID: `${id}:ttl`, TTL: '10m', Status: 'passing' })
    for (const id of ['a', 'b'])
      await register(consul, { ID: id, Name: id, Port: 80, Address: '10.0.0.1', Tags: ['hostler'], Check: ttl(id) })
    await watching(sourceOf(consul, { looking: 4000 }), async ({ reports, failures }) => {
      const healths = (at = reports.length - 1) => reports[at]?.map(({ health }) => health).join(' ')
      await until('both are well', () => healths() === 'healthy healthy')
      const before = reports.length
      await consul.kill()
      await until('the outage is told', () => failures.length === 1)
      await consul.resume('kept')
      await until('it reports again', () => reports.length > before)
      expect(healths()).toBe('healthy healthy')
      await consul.call('PUT', '/v1/agent/check/pass/a:ttl')
      await until('the other is given up', () => healths() === 'healthy unhealthy')
      expect(reports.slice(before, -1).map((_, at) => healths(before + at))).toEqual(
        reports.slice(before, -1).map(() => 'healthy healthy'),
      )
    })
  })

  test('in which it was started is waited for: nothing is told before all was looked at, or that has taken too long', async () => {
    await register(consul, {
      ...{ ID: 'a', Name: 'a', Port: 80, Address: '10.0.0.1', Tags: ['hostler'] },
      Check: { CheckID: 'a:ttl', TTL: '10m' },
    })
    await consul.call('PUT', '/v1/agent/check/fail/a:ttl')
    await consul.kill()
    await watching(sourceOf(consul, { looking: 2000 }), async ({ reports, failures }) => {
      await until('the outage is told', () => failures.length === 1)
      await consul.resume('kept')
      await until('it is told all the same', () => reports.length > 0)
      expect(reports[0]?.map(({ health }) => health)).toEqual(['unhealthy'])
    })
    const source = sourceOf(consul)
    await consul.kill()
    await expect(source.list(signal)).rejects.toThrow(/is Consul up there/)
    await consul.resume('kept')
    await expect(source.list(signal)).rejects.toMatchObject({ code: 'CONSUL_EARLY' })
    await consul.call('PUT', '/v1/agent/check/pass/a:ttl')
    await until('it is told', async () => (await source.list(signal))[0]?.health === 'healthy')
  })

  test('that nobody saw, in which an older state was restored, takes nothing away, whatever is told right after it', async () => {
    await put('a')
    const snapshot = await (await fetch(`${consul.url}/v1/snapshot`)).arrayBuffer()
    await put('b')
    await watching(sourceOf(consul), async ({ reports }) => {
      await until('both are reported', () => names(reports.at(-1)) === 'a b')
      await fetch(`${consul.url}/v1/snapshot`, { method: 'PUT', body: snapshot })
      await delay(500)
      // Brings the count beyond where it was; the agent tells again of b within two minutes.
      await put('c')
      await until('c is told', () => names(reports.at(-1))?.includes('c'))
      expect(reports.filter((told) => told.length > 0 && !names(told)?.includes('b'))).toEqual([])
    })
  })

  test('is over when it is: what goes after that goes at once', async () => {
    await put('a')
    await put('b')
    await watching(sourceOf(consul), async ({ reports, failures }) => {
      await until('both are reported', () => names(reports.at(-1)) === 'a b')
      await consul.kill()
      await until('the outage is told', () => failures.length === 1)
      const before = reports.length
      await consul.resume('kept')
      await until('it reports again', () => reports.length > before)
      await consul.call('PUT', '/v1/agent/service/deregister/a')
      await until('a is gone', () => names(reports.at(-1)) === 'b')
    })
  })
})

describeWith(['consul'], 'a cluster of Consul', () => {
  let server: TestConsul
  let second: TestConsul
  let third: TestConsul
  beforeAll(async () => {
    server = await startConsul()
    second = await startConsul({ of: server, node: 'node-2' })
  })
  afterAll(async () => {
    for (const consul of [third, second, server]) await consul?.stop()
  })
  const put = (consul: TestConsul, ID: string) =>
    register(consul, { ID, Name: 'web', Port: 80, Address: '10.0.0.1', Tags: ['hostler'] })
  const told = (instances: readonly Instance[] | undefined) =>
    instances?.map((one) => `${one.id} ${isLive(one) ? 'live' : 'not live'}`).join(', ')

  test('is followed on every node; what is on one that dies gets no traffic', async () => {
    await put(server, 'a')
    await put(second, 'a')
    await watching(sourceOf(server), async ({ reports, failures }) => {
      const reads = (wanted: string) => until(wanted, () => told(reports.at(-1)) === wanted)
      await reads('node-1/a live, node-2/a live')
      third = await startConsul({ of: server, node: 'node-3' })
      await put(third, 'b')
      await reads('node-1/a live, node-2/a live, node-3/b live')
      await third.kill()
      await reads('node-1/a live, node-2/a live, node-3/b not live')
      await third.resume('kept')
      await reads('node-1/a live, node-2/a live, node-3/b live')
      expect(failures).toEqual([])
    })
  })

  test('may have an instance on two nodes, after a move to another agent: the one that is well counts', async () => {
    const shop = instance('shop', { port: '80' })
    const [old, fresh] = [consulRegistry(server), consulRegistry(second)]
    await announce(old, [shop])
    await announce(fresh, [shop])
    const id = Object.keys(await servicesOf(server)).find((one) => one.startsWith('shop')) ?? ''
    await server.call('PUT', `/v1/agent/service/maintenance/${id}?enable=true`)
    await until('the catalog knows', async () => {
      const checks = await server.call<{ Status: string; ServiceID: string }[]>('GET', '/v1/health/node/node-1')
      return checks.some(({ Status, ServiceID }) => ServiceID === id && Status === 'critical')
    })
    const found = (await sourceOf(server).list(signal)).filter(({ name }) => name === 'shop')
    expect(found.map(isLive)).toEqual([true])
    await announce(old, [])
    await announce(fresh, [])
  })

  test('may change the address of a node: what has none of its own goes along', async () => {
    const put = (Address: string) =>
      server.call('PUT', '/v1/catalog/register', {
        ...{ Node: 'other', Address },
        Service: { ID: 'db', Service: 'db', Port: 80, Tags: ['hostler'] },
      })
    await put('10.0.0.7')
    await watching(sourceOf(server), async ({ reports }) => {
      const address = () => reports.at(-1)?.find(({ name }) => name === 'db')?.networks[0]?.address
      await until('it is there', () => address() === '10.0.0.7')
      await put('10.0.0.8')
      await until('it has moved', () => address() === '10.0.0.8')
    })
  })

  test('is read through any of its agents', async () => {
    const all = await until('both are there', async () => {
      const found = await sourceOf(second).list(signal)
      return found.length >= 2 && found
    })
    expect(all.map(({ id }) => id)).toEqual(expect.arrayContaining(['node-1/a', 'node-2/a']))
  })
})

describeWith(['consul'], 'a Consul that tells only some', () => {
  let consul: TestConsul
  beforeAll(async () => {
    consul = await startConsul({ acl: true })
    await register(consul, { ID: 'a', Name: 'a', Port: 80, Tags: ['hostler'] })
  })
  afterAll(() => consul?.stop())

  test.each([
    ['nothing', undefined],
    ['nodes only', 'node_prefix "" { policy = "read" }'],
    ['services only', 'service_prefix "" { policy = "read" }'],
  ])('%s, for want of rights, is a failure and no empty list', async (_, rules) => {
    const token = rules === undefined ? '' : await consul.createToken(rules)
    await expect(sourceOf(consul, { token }).list(signal)).rejects.toThrow(/give CONSUL_HTTP_TOKEN the right to read/)
  })

  test('everything that is read is told, with a token that may do no more', async () => {
    const token = await consul.createToken('node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }')
    expect(await sourceOf(consul, { token }).list(signal)).toHaveLength(1)
  })

  test('a token that is wrong is named', async () => {
    const token = '00000000-0000-4000-8000-000000000000'
    await expect(sourceOf(consul, { token }).list(signal)).rejects.toThrow('is CONSUL_HTTP_TOKEN right?')
  })
})

describe('settings of the consul source', () => {
  test('an address with placeholders is none', () => {
    const access = { token: '', ssl: false, verify: true, ca: '', cert: '', key: '', serverName: '' }
    const rules = { tag: 'hostler', labelPrefix: 'hostler', lease: 1000 }
    const create = () => createConsulSource({ ...access, ...rules, url: 'http://%HOST%:8500' }, { log: silentLogger() })
    expect(create).toThrow('is no address of Consul')
  })
})

interface Seen {
  readonly reports: (readonly Instance[])[]
  readonly failures: unknown[]
}

async function watching(source: Source, body: (seen: Seen) => Promise<void>): Promise<void> {
  const seen: Seen = { reports: [], failures: [] }
  const controller = new AbortController()
  const ended = source.watch(
    {
      report: (instances) => void seen.reports.push(instances),
      failed: (error) => void seen.failures.push(error),
    },
    controller.signal,
  )
  await body(seen).finally(() => controller.abort())
  await ended
}
