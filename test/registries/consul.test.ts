import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { fromChunks } from '../../src/lib/consul/meta.js'
import { decodeInstance } from '../../src/model/announced.js'
import type { Instance } from '../../src/model/instance.js'
import type { ConsulRegistrySettings } from '../../src/registries/consul.js'
import type { Registry } from '../../src/registries/registry.js'
import { startConsul, type TestConsul } from '../support/consul.js'
import { announce, checksOf, clear, consulRegistry, register, servicesOf, statusOf } from '../support/consul-rig.js'
import { instance } from '../support/instances.js'
import { describeWith } from '../support/servers.js'

/** Others are on this host too. */
const HERE = { hostAddress: '127.0.0.1' }

/** A container with labels as they stand, published ports by default. */
const container = (name: string, labels: Record<string, string>, over: Partial<Instance> = {}): Instance => ({
  ...instance(name),
  labels,
  networks: [{ name: 'bridge', address: '172.17.0.2', shared: false }],
  ports: [{ port: 80, published: { address: '10.1.0.1', port: 8080 } }],
  ...over,
})

describeWith(['consul'], 'the consul registry', () => {
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

  const open = (over: Partial<ConsulRegistrySettings> = {}): Registry => {
    const registry = consulRegistry(consul, over)
    opened.push(registry)
    return registry
  }
  /** What is there for one container. */
  const announced = async (one: Instance, over: Partial<ConsulRegistrySettings> = {}) => {
    const { troubles } = await announce(open(over), [one])
    return { troubles, services: Object.values(await servicesOf(consul)) }
  }

  describe('with the labels of predecessor 5', () => {
    test('announces a container once per public endpoint, in lower case, with its tags', async () => {
      const { services, troubles } = await announced(
        container(
          'Web-1',
          { rancon: '' },
          {
            service: 'Shop',
            ports: [
              { port: 80, published: { address: '10.1.0.1', port: 8080 } },
              { port: 443, published: { address: '10.1.0.1', port: 8443 } },
              { port: 9000 },
            ],
          },
        ),
      )
      expect(troubles).toEqual([])
      expect(services.map(({ ID, Service, Address, Port, Tags }) => ({ ID, Service, Address, Port, Tags }))).toEqual(
        [8080, 8443].map((Port) => ({
          ...{ ID: `shop-10-1-0-1-${Port}`, Service: 'shop', Address: '10.1.0.1', Port },
          Tags: ['rancon', 'rancon-cleanup-id-default'],
        })),
      )
    })

    test.each<[string, Record<string, string>, Partial<Instance>, string]>([
      ['the service is the name', { rancon: '1' }, {}, 'web'],
      ['a label says another', { 'rancon.name': 'SuperCool' }, {}, 'supercool'],
      ['it holds placeholders', { 'rancon.name': '%NAME%-%STACK%' }, {}, 'web-shop'],
      ['the case of a placeholder does not matter', { 'rancon.name': '%stack%-%Service%' }, {}, 'shop-web'],
      [
        'labels of ours say what it is called',
        { 'rancon.name': '%NAME%-%STACK%', 'hostler.stack': 'ours' },
        {},
        'web-ours',
      ],
      ['it knows the environment', { 'rancon.name': '%ENVIRONMENT%.%NAME%' }, { environment: 'prod' }, 'prod.web'],
      ['it knows host and port', { 'rancon.name': 'a-%HOST%-%PORT%' }, {}, 'a-10.1.0.1-8080'],
      ['it knows every other label', { 'rancon.name': '%A_B%', 'rancon.a.b': 'Deep' }, {}, 'deep'],
      ['a label cannot be the host', { 'rancon.name': 'x-%HOST%', 'rancon.host': 'evil' }, {}, 'x-10.1.0.1'],
    ])('%s', async (_, labels, over, name) => {
      const { services, troubles } = await announced(
        container('c-1', { rancon: '', ...labels }, { stack: 'shop', service: 'web', ...over }),
      )
      expect([services.map(({ Service }) => Service), troubles]).toEqual([[name], []])
    })

    test('fills tags and ids too, and what nothing is called becomes UNDEFINED, which is said', async () => {
      const one = container('c-1', { 'rancon.tag': 'urlprefix-%NAME%, V2 ,%NOPE%,,rancon', 'rancon.name': 'web' })
      const { services, troubles } = await announced(one, { idSchema: '%ANNOUNCER%/%NAME%_%PORT%' })
      expect(services.map(({ ID, Tags }) => [ID, Tags])).toEqual([
        ['host-a-web-8080', ['urlprefix-web', 'v2', 'undefined', 'rancon', 'rancon-cleanup-id-default']],
      ])
      expect(troubles).toEqual(['container c-1: nothing is called %NOPE% in rancon.tag; it became UNDEFINED'])
    })

    test('fills whatever stands between two %, and makes several tags of a field that holds commas', async () => {
      const labels = { 'rancon.tag': '%LIST%,%A.B%', 'rancon.list': 'p,q', 'rancon.name': '%x y%-web' }
      const { services, troubles } = await announced(container('c-1', labels))
      expect(services.map(({ Service, Tags }) => [Service, Tags])).toEqual([
        ['undefined-web', ['p', 'q', 'undefined', 'rancon', 'rancon-cleanup-id-default']],
      ])
      expect(troubles).toEqual([
        expect.stringContaining('nothing is called %x y% in rancon.name'),
        expect.stringContaining('nothing is called %A.B% in rancon.tag'),
      ])
    })

    test('is announced by its own address and exposed ports where it publishes none', async () => {
      const { services } = await announced(container('c', { rancon: '' }, { ports: [{ port: 80 }, { port: 81 }] }))
      expect(services.map(({ Address, Port }) => `${Address}:${Port}`)).toEqual(['172.17.0.2:80', '172.17.0.2:81'])
    })

    test('is not announced where only its own host reaches it, and that is said', async () => {
      const ports = [{ port: 80, published: { address: '127.0.0.1', port: 8080 } }]
      const { services, troubles } = await announced(container('c', { rancon: '' }, { ports }), {
        hostAddress: '192.0.2.7',
      })
      expect(services).toEqual([])
      expect(troubles).toEqual([expect.stringMatching(/^container c publishes no port at 192\.0\.2\.7/)])
    })

    test('is announced by its own address where its host has none that others know', async () => {
      const ports = [{ port: 80, published: { address: '127.0.0.1', port: 8080 } }]
      const { services, troubles } = await announced(container('c', { rancon: '' }, { ports }))
      expect([services.map(({ Address, Port }) => `${Address}:${Port}`), troubles]).toEqual([['172.17.0.2:80'], []])
      const nowhere = await announced(container('c', { rancon: '' }, { ports, networks: [] }))
      expect(nowhere.services).toEqual([])
      expect(nowhere.troubles).toEqual([expect.stringMatching(/^container c .* set HOSTLER_ANNOUNCE_ADDRESS/)])
    })

    test('that has no endpoint is said, and nothing is announced', async () => {
      const { services, troubles } = await announced(container('c', { rancon: '' }, { ports: [], networks: [] }))
      expect(services).toEqual([])
      expect(troubles).toEqual([expect.stringMatching(/^container c: no port of it can be reached: publish one/)])
    })

    test('takes over what predecessor 5 left there, and takes its leftovers back', async () => {
      const tags = ['rancon', 'rancon-cleanup-id-default']
      const old = { Address: '10.1.0.1', Port: 8080 }
      await register(consul, { ...old, ID: 'web-10-1-0-1-8080', Name: 'web', Tags: tags })
      await register(consul, { ...old, ID: 'gone-1', Name: 'gone', Tags: tags })
      await register(consul, { ...old, ID: 'gone-2', Name: 'gone', Tags: ['rancon-default'] })
      await register(consul, { ...old, ID: 'other-1', Name: 'x', Tags: ['rancon', 'rancon-cleanup-id-other'] })
      await register(consul, { ...old, ID: 'stranger', Name: 'x', Tags: ['rancon'] })
      const result = await announce(open(), [container('web', { rancon: '' })])
      expect(result).toMatchObject({ entries: 1, written: 1, removed: 2 })
      expect(Object.keys(await servicesOf(consul)).sort()).toEqual(['other-1', 'stranger', 'web-10-1-0-1-8080'])
    })
  })

  describe('with our own labels', () => {
    const shop = (over: Partial<Instance> = {}) =>
      container('shop-web-1', { 'hostler.port': '80', 'com.docker.compose.service': 'web' }, { stack: 'shop', ...over })

    test('announces the port that gets the traffic, and carries the whole instance', async () => {
      const one = shop({ ports: [{ port: 80, published: { address: '10.1.0.1', port: 8080 } }, { port: 9000 }] })
      const { services } = await announced(one)
      expect(services).toMatchObject([
        {
          ...{ ID: 'shop-web-10-1-0-1-8080-host-a', Service: 'shop-web', Address: '10.1.0.1', Port: 8080 },
          Tags: ['hostler', 'rancon-cleanup-id-default'],
          Meta: { 'hostler-announcer': 'host-a', 'hostler-instance': 'test shop-web-1' },
        },
      ])
      const text = fromChunks(services[0]?.Meta ?? {}) ?? ''
      const { id: _, source: __, ...fields } = one
      expect(decodeInstance(text, { id: 'x', source: 'y' })).toEqual({ ...fields, id: 'x', source: 'y' })
    })

    test('carries one whose labels are long, in any language, whole', async () => {
      const labels = { 'hostler.port': '80', 'org.example.note': 'Grüße 🙂\n"x"'.repeat(300) }
      const { services, troubles } = await announced(container('c', labels))
      expect(troubles).toEqual([])
      expect(decodeInstance(fromChunks(services[0]?.Meta ?? {}) ?? '', { id: 'x', source: 'y' }).labels).toEqual(labels)
    })

    test('leaves out the labels of others when all are too long, and says when ours are', async () => {
      const long = 'x'.repeat(30_000)
      const few = await announced(container('c', { 'hostler.port': '80', note: long }))
      expect(few.troubles).toEqual([])
      expect(decodeInstance(fromChunks(few.services[0]?.Meta ?? {}) ?? '', { id: 'x', source: 'y' }).labels).toEqual({
        'hostler.port': '80',
      })
      const many = await announced(container('c', { 'hostler.port': '80', 'hostler.note': long }))
      expect(many.troubles).toEqual([
        'container c: its labels are too long for Consul, 28 kB in all: other hosts get no routes to it',
      ])
    })

    test('both kinds of labels make one entry with the tags of both', async () => {
      const { services } = await announced(container('c', { 'hostler.port': '80', 'rancon.name': 'web' }))
      expect(services.map(({ ID, Tags }) => [ID, Tags])).toEqual([
        ['web-10-1-0-1-8080', ['rancon', 'hostler', 'rancon-cleanup-id-default']],
      ])
    })

    test('is called as the labels for stack and service say', async () => {
      const names = async (labels: Record<string, string>) => {
        await announce(open(), [container('x-1', { 'hostler.port': '80', ...labels }, { stack: 'p', service: 'web' })])
        return Object.values(await servicesOf(consul)).map(({ Service }) => Service)
      }
      expect(await names({})).toEqual(['p-web'])
      expect(await names({ 'hostler.stack': 'shop' })).toEqual(['shop-web'])
      expect(await names({ 'hostler.stack': 'shop', 'hostler.service': 'api' })).toEqual(['shop-api'])
      expect(await names({ 'hostler.stack': 'shop', 'hostler.service': 'shop' })).toEqual(['shop'])
    })

    test('two hosts with the same container name and one agent do not overwrite each other', async () => {
      const [a, b] = [open({ announcer: 'host-a' }), open({ announcer: 'host-b', cleanupId: 'b' })]
      await announce(a, [shop()])
      await announce(b, [shop()])
      expect(await announce(a, [shop()])).toMatchObject({ entries: 1, removed: 0 })
      expect(Object.keys(await servicesOf(consul)).sort()).toEqual([
        'shop-web-10-1-0-1-8080-host-a',
        'shop-web-10-1-0-1-8080-host-b',
      ])
    })

    test('one without traffic, one that is refused a route, and a stranger are not announced', async () => {
      const result = await announce(open(), [
        container('db', { 'hostler.port': 'none' }),
        container('bad', { 'hostler.port': '99999' }),
        container('stranger', { rancong: '1' }),
      ])
      expect(result).toEqual({ entries: 0, written: 0, removed: 0, troubles: [] })
    })
  })

  describe('writes only differences', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name, at) =>
      container(name, { rancon: '' }, { ports: [{ port: 80, published: { address: '10.1.0.1', port: 8000 + at } }] }),
    ) as [Instance, Instance, Instance]

    test('nothing when nothing has changed, not even by another process', async () => {
      const first = open()
      expect(await announce(first, [a, b])).toMatchObject({ entries: 2, written: 2, removed: 0 })
      expect(await announce(first, [a, b])).toMatchObject({ entries: 2, written: 0, removed: 0 })
      expect(await announce(open(), [b, a])).toMatchObject({ entries: 2, written: 0, removed: 0 })
    })

    test('one when one has come, changed or gone', async () => {
      const registry = open()
      await announce(registry, [a, b])
      expect(await announce(registry, [a, b, c])).toMatchObject({ entries: 3, written: 1, removed: 0 })
      const changed = { ...b, labels: { 'rancon.tag': 'new' } }
      expect(await announce(registry, [a, changed, c])).toMatchObject({ entries: 3, written: 1, removed: 0 })
      expect(await announce(registry, [a, c])).toMatchObject({ entries: 2, written: 0, removed: 1 })
    })

    test('mends what somebody else changed, took away or added', async () => {
      const registry = open()
      await announce(registry, [a, b])
      const [first, second] = Object.values(await servicesOf(consul))
      await register(consul, { ID: first?.ID, Name: first?.Service, Port: 1, Tags: first?.Tags, Meta: first?.Meta })
      await consul.call('PUT', `/v1/agent/service/deregister/${second?.ID}`)
      await register(consul, { ID: 'ghost', Name: 'ghost', Tags: ['rancon-cleanup-id-default'] })
      expect(await announce(registry, [a, b])).toMatchObject({ entries: 2, written: 2, removed: 1 })
      expect(Object.values(await servicesOf(consul))).toEqual([first, second])
    })

    test('mends that also while facts change all the time', async () => {
      const registry = open({ lookMs: 0 })
      await announce(registry, [a, b])
      await consul.call('PUT', '/v1/agent/service/deregister/a-10-1-0-1-8000')
      expect(await announce(registry, [a, b, c])).toMatchObject({ entries: 3, written: 2, removed: 0 })
    })

    test('takes nothing back while some source has told nothing', async () => {
      await announce(open(), [a, b])
      const restarted = open()
      expect(await announce(restarted, [a], { isWhole: false })).toMatchObject({ entries: 1, removed: 0 })
      expect(Object.keys(await servicesOf(consul))).toHaveLength(2)
      expect(await announce(restarted, [a])).toMatchObject({ entries: 1, removed: 1 })
    })

    test('takes everything back when it is told to, and nothing of others', async () => {
      const registry = open({ lease: 30_000 })
      await register(consul, { ID: 'stranger', Name: 'x' })
      await announce(registry, [a, b])
      expect(Object.keys(await servicesOf(consul))).toHaveLength(4)
      await registry.withdraw?.(new AbortController().signal)
      expect(Object.keys(await servicesOf(consul))).toEqual(['stranger'])
    })
  })

  describe('health', () => {
    const checked = (labels: Record<string, string>, over: Partial<Instance> = {}) =>
      container('c', { rancon: '', ...labels }, over)

    test('is asked for by HTTP or TCP as the labels say', async () => {
      const port = consul.port
      const here = { ports: [{ port, published: { address: '127.0.0.1', port } }], networks: [] }
      const ask = {
        'rancon.check.http': '/v1/status/leader',
        'rancon.check.tcp': 'true',
        'rancon.check.interval': '1s',
      }
      const { services, troubles } = await announced(checked(ask, here), HERE)
      const [{ ID = '' } = {}] = services
      expect(troubles).toEqual([])
      expect((await checksOf(consul, ID)).map(({ CheckID, Type }) => [CheckID, Type])).toEqual([
        [`${ID}:http`, 'http'],
        [`${ID}:tcp`, 'tcp'],
      ])
      await expect(waitFor(() => statusOf(consul, ID), 'passing')).resolves.toBe('passing')
    })

    test('is that of the route by our own labels', async () => {
      const port = consul.port
      const labels = {
        'hostler.port': String(port),
        'hostler.health-check': '/nope',
        'hostler.health-check-interval': '1s',
      }
      const { services } = await announced(
        container('c', labels, { ports: [{ port, published: { address: '127.0.0.1', port } }] }),
        HERE,
      )
      const id = services[0]?.ID ?? ''
      expect(await checksOf(consul, id)).toMatchObject([{ CheckID: `${id}:http`, Type: 'http', Status: 'critical' }])
    })

    test('that is not asked for any more goes', async () => {
      const registry = open()
      await announce(registry, [checked({ 'rancon.check.tcp': '80' })])
      const [id = ''] = Object.keys(await servicesOf(consul))
      expect(await checksOf(consul, id)).toHaveLength(1)
      await announce(registry, [checked({})])
      expect(await checksOf(consul, id)).toEqual([])
    })

    test.each([
      ['rancon.check.http', 'http://169.254.169.254/latest', 'it points elsewhere than its own container'],
      ['rancon.check.http', 'no path', 'it is no path'],
      ['rancon.check.tcp', '99999', 'it is not a port'],
      ['rancon.check.interval', 'often', 'it is not a duration'],
      ['rancon.check.interval', '999999999h', 'it is longer than a day'],
      ['hostler.health-check-interval', '2d', 'it is longer than a day'],
    ])('a label %s=%s is left out, and said', async (label, value, reason) => {
      const ask: Record<string, string> = label.startsWith('hostler')
        ? { 'hostler.port': '80', 'hostler.health-check': '/' }
        : {}
      const { services, troubles } = await announced(checked({ ...ask, [label]: value }))
      expect(troubles).toEqual([expect.stringContaining(`container c: label ${label}: ${reason}`)])
      expect(await checksOf(consul, services[0]?.ID ?? '')).toHaveLength(Object.keys(ask).length / 2)
    })

    test.each([
      ['rancon.check.tcp', '81'],
      ['rancon.check.http', 'http://localhost:81/'],
    ])('a check %s of a port that cannot be reached is left out, and said', async (label, value) => {
      const { services, troubles } = await announced(checked({ [label]: value }, { networks: [] }))
      expect(troubles).toEqual([expect.stringContaining(`label ${label}: port 81 of the container cannot be reached`)])
      expect(await checksOf(consul, services[0]?.ID ?? '')).toEqual([])
    })

    test('maintenance while its traffic is taken away, and afterwards no more', async () => {
      const registry = open()
      const one = checked({})
      await announce(registry, [one])
      const [id = ''] = Object.keys(await servicesOf(consul))
      expect(await announce(registry, [one], { draining: [one] })).toMatchObject({ entries: 1, written: 1, removed: 0 })
      expect(await checksOf(consul, id)).toMatchObject([
        { CheckID: `_service_maintenance:${id}`, Status: 'critical', Notes: 'it is about to be stopped' },
      ])
      expect(await announce(registry, [one], { draining: [one] })).toMatchObject({ written: 0 })
      await announce(registry, [one])
      expect(await statusOf(consul, id)).toBe('passing')
    })

    test('maintenance for another reason than before is written no more: Consul keeps the first one', async () => {
      const registry = open()
      const one = checked({})
      const paused: Instance = { ...one, state: 'paused' }
      await announce(registry, [one])
      await announce(registry, [one], { draining: [one] })
      expect(await announce(registry, [paused])).toMatchObject({ entries: 1, written: 0 })
      expect(await announce(registry, [paused])).toMatchObject({ entries: 1, written: 0 })
      const restarted = open()
      expect(await announce(restarted, [paused])).toMatchObject({ entries: 1, written: 0 })
      await announce(restarted, [one])
      const [id = ''] = Object.keys(await servicesOf(consul))
      expect(await statusOf(consul, id)).toBe('passing')
    })

    test.each<[Partial<Instance>, string | undefined]>([
      [{ state: 'stopping' }, 'it is stopping'],
      [{ state: 'paused' }, 'it is paused'],
      [{ health: 'unhealthy' }, 'it is unhealthy'],
      [{ state: 'stopped' }, undefined],
    ])('of a container that turns %j', async (change, notes) => {
      const registry = open()
      const one = checked({})
      await announce(registry, [one])
      await announce(registry, [{ ...one, ...change }])
      const notesNow = await Promise.all(
        Object.keys(await servicesOf(consul)).map(async (id) => (await checksOf(consul, id))[0]?.Notes),
      )
      expect(notesNow).toEqual(notes === undefined ? [] : [notes])
    })

    test('of one that has not been ready yet is waited for', async () => {
      const registry = open()
      const one = checked({}, { health: 'starting' })
      expect(await announce(registry, [one])).toMatchObject({ entries: 0, written: 0 })
      expect(await announce(registry, [{ ...one, health: 'healthy' }])).toMatchObject({ entries: 1, written: 1 })
    })
  })

  describe('labels of somebody else', () => {
    const good = container(
      'good',
      { rancon: '' },
      { ports: [{ port: 80, published: { address: '10.1.0.1', port: 1 } }] },
    )

    test.each<[string, Partial<Instance> & { labels?: Record<string, string> }, RegExp]>([
      ['a name that is Consul itself', { labels: { 'rancon.name': 'Consul' } }, /it may not be called consul/],
      [
        'a name with a path in it',
        { labels: { 'rancon.name': '../../etc' } },
        /"\.\.\/\.\.\/etc" is no name for a service/,
      ],
      ['an empty name', { labels: { 'rancon.name': '' } }, /"" is no name/],
      ['a name with a line break', { labels: { 'rancon.name': 'a\nb' } }, /"a\\u000ab" is no name/],
      ['a long name', { labels: { 'rancon.name': 'x'.repeat(5000) } }, /is no name/],
      [
        'an address that Consul refuses',
        { ports: [{ port: 80, published: { address: '0.0.0.0', port: 8 } }] },
        /Invalid service address/,
      ],
      [
        'an address that is none',
        { ports: [{ port: 80, published: { address: 'a b', port: 8 } }] },
        /"a b" is no address/,
      ],
    ])('%s: it is named with its container, and harms nobody else', async (_, over, trouble) => {
      const bad = container('bad', { rancon: '', ...over.labels }, { ...(over.ports && { ports: over.ports }) })
      const result = await announce(open(), [bad, good])
      expect(result).toMatchObject({ entries: 1, written: 1 })
      expect(result.troubles).toEqual([expect.stringMatching(trouble)])
      expect(result.troubles[0]).toMatch(/^container bad: /)
      expect(Object.keys(await servicesOf(consul))).toEqual(['good-10-1-0-1-1'])
    })

    test('a tag that is none is left out', async () => {
      const { services, troubles } = await announced(container('c', { 'rancon.tag': `ok,a\u0007b,${'x'.repeat(300)}` }))
      expect(services[0]?.Tags).toEqual(['ok', 'rancon', 'rancon-cleanup-id-default'])
      expect(troubles).toHaveLength(2)
    })

    test("what was announced stays while the id that its container asks for instead is somebody else's", async () => {
      await announce(open(), [good])
      await register(consul, { ID: 'theirs-10-1-0-1-1', Name: 'theirs', Port: 5 })
      const renamed = { ...good, labels: { 'rancon.name': 'theirs' } }
      expect(await announce(open(), [renamed])).toMatchObject({ entries: 0, removed: 0 })
      expect(Object.keys(await servicesOf(consul)).sort()).toEqual(['good-10-1-0-1-1', 'theirs-10-1-0-1-1'])
    })

    test('what was announced stays while its container asks for something that cannot be', async () => {
      const registry = open()
      await announce(registry, [good])
      const worse = { ...good, labels: { 'rancon.name': 'a b' } }
      expect(await announce(registry, [worse])).toMatchObject({ removed: 0 })
      expect(Object.keys(await servicesOf(consul))).toEqual(['good-10-1-0-1-1'])
      expect(await announce(registry, [])).toMatchObject({ removed: 1 })
    })

    test('two containers with one id: the first has it, the other is told', async () => {
      const labels = { 'rancon.name': 'web' }
      const result = await announce(open({ idSchema: '%NAME%' }), [
        container('one', labels),
        container('two', labels, { ports: [{ port: 80, published: { address: '10.1.0.1', port: 8081 } }] }),
      ])
      expect(result).toMatchObject({
        entries: 1,
        troubles: [expect.stringMatching(/^container two: its id web is that of container one too/)],
      })
    })

    test('an id of somebody else is left to them', async () => {
      await register(consul, { ID: 'good-10-1-0-1-1', Name: 'theirs', Port: 5 })
      expect(await announce(open(), [good])).toMatchObject({
        entries: 0,
        troubles: [expect.stringMatching(/^container good: the id good-10-1-0-1-1 is taken by somebody else/)],
      })
      expect(await servicesOf(consul)).toMatchObject({ 'good-10-1-0-1-1': { Service: 'theirs', Port: 5 } })
    })
  })

  test('an address of the agent may hold the host, and nothing that a label says', async () => {
    const url = consul.url.replace('127.0.0.1', '%HOST%')
    const registry = open({ ...HERE, url })
    const at = (name: string, address: string) =>
      container(name, { rancon: '' }, { ports: [{ port: 80, published: { address, port: 80 } }] })
    expect(await announce(registry, [at('a', '127.0.0.1')])).toMatchObject({ entries: 1, written: 1 })
    expect(Object.keys(await servicesOf(consul))).toEqual(['a-127-0-0-1-80'])
    expect(await announce(registry, [])).toMatchObject({ entries: 0, removed: 1 })
    expect(() => open({ url: 'http://%NAME%:8500' })).toThrow(
      "%NAME% may not stand in Consul's address, for a label could send our token anywhere; use %HOST%",
    )
  })
})

async function waitFor<T>(probe: () => Promise<T>, wanted: T): Promise<T> {
  const { until } = await import('../support/wait.js')
  await until(`it is ${wanted}`, async () => (await probe()) === wanted)
  return wanted
}
