import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from '@jest/globals'
import { messageOf } from '../../src/lib/errors.js'
import { silentLogger } from '../../src/lib/logger.js'
import type { Instance } from '../../src/model/instance.js'
import { createRancherMetadataSource, type RancherMetadataSettings } from '../../src/sources/rancher-metadata.js'
import type { Source } from '../../src/sources/source.js'
import {
  type AnswerMap,
  type ContainerFacts,
  type MetadataFault,
  type MetadataServer,
  metadataContainer,
  metadataTree,
  startMetadataServer,
} from '../support/metadata-server.js'
import { until } from '../support/wait.js'
import { describeSourceContract } from './contract.js'

const PORT = { 'map-public-http': '80' }
const isRelevant = (labels: Readonly<Record<string, string>>) =>
  Object.keys(labels).some((label) => label === 'map-public-http' || label.startsWith('hostler.'))

const sourceOf = (server: MetadataServer, settings: Partial<RancherMetadataSettings> = {}) =>
  createRancherMetadataSource(
    {
      host: server.host,
      version: '2015-12-19',
      pollInterval: 10_000,
      labelPrefix: 'hostler',
      isRelevant,
      timeoutMs: 5000,
      ...settings,
    },
    { log: silentLogger() },
  )

const signal = new AbortController().signal

const started: MetadataServer[] = []
afterEach(async () => {
  for (const server of started.splice(0)) await server.close()
})

async function start(options: { tree?: AnswerMap; self?: AnswerMap } = {}) {
  const server = await startMetadataServer(options)
  started.push(server)
  return server
}

const treeOf = (...containers: ContainerFacts[]) =>
  metadataTree(containers.map((facts) => metadataContainer({ labels: PORT, ...facts })))

const listOf = async (tree: AnswerMap, settings: Partial<RancherMetadataSettings> = {}) =>
  sourceOf(await start({ tree }), settings).list(signal)

const harness = (settings: Partial<RancherMetadataSettings>, longPoll: MetadataServer['longPoll']) => async () => {
  const server = await startMetadataServer()
  server.longPoll = longPoll
  return {
    source: sourceOf(server, settings),
    put: async (names: string[]) => server.set(treeOf(...shuffled(names).map((name) => ({ name })))),
    breakOff: async () => server.fault('down'),
    mend: async () => server.fault(undefined),
    close: () => server.close(),
  }
}

/** Another order than the one given, always the same. */
const shuffled = <T>(items: readonly T[]): T[] => [...items].reverse()

describeSourceContract('rancher-metadata by long poll', harness({}, 'works'))
describeSourceContract('rancher-metadata by interval', harness({ pollInterval: 60, version: 'latest' }, 'missing'))
describeSourceContract(
  'rancher-metadata, wait ignored',
  harness({ pollInterval: 60, version: '2015-07-25' }, 'ignored'),
)

describe('a container of the metadata service', () => {
  const recorded = (): AnswerMap =>
    JSON.parse(readFileSync(new URL('../fixtures/rancher-metadata/2015-07-25.json', import.meta.url), 'utf8'))

  /** The recorded answer with our label on its one service's container. */
  function labelled(): AnswerMap {
    const tree = recorded()
    const [app, agent] = tree['containers'] as [AnswerMap, AnswerMap]
    const labels = { ...(app['labels'] as AnswerMap), ...PORT }
    const { version: _, ...rest }: AnswerMap = {
      ...tree,
      containers: [agent, { ...app, labels, ports: ['1.2.3.4:8080:80/tcp'] }],
    }
    return rest
  }

  test.each([
    ['2015-07-25', 'Default'],
    ['2015-12-19', 'Default'],
    ['2016-07-29', 'default'],
    ['latest', 'default'],
  ])('is read from version %s, and those without a label of ours are left out', async (version, stack) => {
    expect(await listOf(labelled(), { version })).toEqual([
      {
        id: '57ad0af4-01a9-44cb-862c-0e2ed80c6bdb',
        source: 'rancher-metadata',
        name: `${stack}_alena_1`,
        stack,
        service: 'alena',
        serverName: 'alena-57ad0af4-01a9-44cb-862c-0e2ed80c6bdb',
        labels: expect.objectContaining({ ...PORT, 'io.rancher.stack_service.name': 'Default/alena' }),
        state: 'running',
        health: 'none',
        createdAt: 0,
        networks: [{ name: 'rancher', address: '10.42.75.49', shared: true }],
        ports: [{ port: 80, published: { address: '1.2.3.4', port: 8080 } }],
      },
    ])
  })

  test('has neither stack nor service when it stands alone, as the network agent does', async () => {
    const [instance] = await listOf(treeOf({ name: 'Network Agent', stack: null, service: null }))
    expect(instance).toMatchObject({ name: 'Network Agent', id: 'uuid-Network Agent' })
    for (const field of ['stack', 'service', 'serverName']) expect(instance).not.toHaveProperty(field)
  })

  test('has no network while it has no address, and nothing published that could stand in for it', async () => {
    const [instance] = await listOf(treeOf({ name: 'a', ip: '', ports: ['1.2.3.4:8080:80/tcp'] }))
    expect(instance).toMatchObject({ networks: [], ports: [{ port: 80 }], state: 'running' })
  })

  test('tells its TCP ports in any form, and null lists are empty', async () => {
    const ports = ['0.0.0.0:8080:80/tcp', '53:53/udp', '9000/tcp', '10.0.0.1:81:81/tcp', 'x', '443:443']
    const [a, b] = await listOf(treeOf({ name: 'a', ports }, { name: 'b', ports: null }))
    expect(a?.ports).toEqual([
      { port: 80 },
      { port: 81, published: { address: '10.0.0.1', port: 81 } },
      { port: 443 },
      { port: 9000 },
    ])
    expect(b?.ports).toEqual([])
  })

  test.each([
    [undefined, undefined, 'running', 'none'],
    ['', '', 'running', 'none'],
    ['running', 'healthy', 'running', 'healthy'],
    ['updating-running', 'updating-healthy', 'running', 'healthy'],
    ['upgraded', null, 'running', 'none'],
    ['starting', 'initializing', 'restarting', 'starting'],
    ['restarting', 'reinitializing', 'restarting', 'starting'],
    ['stopping', 'unhealthy', 'stopping', 'unhealthy'],
    ['removing', 'updating-unhealthy', 'stopping', 'unhealthy'],
    ['stopped', 'degraded', 'stopped', 'unhealthy'],
    ['error', 'anything', 'stopped', 'unhealthy'],
  ] as const)('with state %s and health %s is %s and %s', async (state, health, ourState, ourHealth) => {
    const facts = { name: 'a', ...(state === undefined ? {} : { state }), ...(health === undefined ? {} : { health }) }
    expect(await listOf(treeOf(facts))).toMatchObject([{ state: ourState, health: ourHealth }])
  })

  test('arrives with its label values untouched, whatever they hold', async () => {
    const labels = { 'hostler.host': 'a\nb "c" {{d}} %e ü', 'hostler.port': 'abc', long: 'x'.repeat(10_000) }
    const [instance] = await listOf(treeOf({ name: 'a', labels }))
    expect(instance?.labels).toEqual(labels)
  })
})

describe('aliases of the metadata service', () => {
  const selfWith = (aliases: AnswerMap[string]): AnswerMap => ({ service: { metadata: { aliases } } })
  const tree = treeOf(
    { name: 'a', stack: 'app' },
    { name: 'b', stack: 'app', labels: { 'hostler.aliases': 'own,www', ...PORT } },
    { name: 'c', stack: 'other' },
  )
  const aliasesOf = (instances: readonly Instance[]) => instances.map(({ labels }) => labels['hostler.aliases'])

  test('are added to the label of every instance of their stack', async () => {
    const double = await start({ tree, self: selfWith({ app: ['www2', 'shop'], unknown: ['x'], none: null }) })
    expect(aliasesOf(await sourceOf(double).list(signal))).toEqual(['www2,shop', 'own,www,www2,shop', undefined])
  })

  test('may be one name in place of a list, and find the stack in lower case', async () => {
    const double = await start({ tree, self: selfWith({ APP: 'www2' }) })
    expect(aliasesOf(await sourceOf(double, { version: 'latest' }).list(signal))[0]).toBe('www2')
  })

  test.each([[undefined], [selfWith(null)], [{ service: { metadata: {} } }]])('may be missing: %j', async (self) => {
    const double = await start({ tree, ...(self ? { self } : {}) })
    expect(aliasesOf(await sourceOf(double).list(signal))).toEqual([undefined, 'own,www', undefined])
  })

  test.each(['500', 'garbage', 'truncated', 'partial'] as const)(
    'void the round when they answer with %s',
    async (kind) => {
      const double = await start({ tree, self: selfWith({ app: ['www2'] }) })
      double.fault(kind, /aliases/)
      await expect(sourceOf(double).list(signal)).rejects.toThrow(/aliases/)
    },
  )

  test('void the round when they are no map of lists', async () => {
    const double = await start({ tree, self: selfWith({ app: { www: true } }) })
    await expect(sourceOf(double).list(signal)).rejects.toThrow('write a map from stack to a list of names')
  })

  test('change what watch reports without any change of the containers', async () => {
    const double = await start({ tree })
    await watching(sourceOf(double), async ({ reports }) => {
      await until('the first report', () => reports.length === 1)
      double.setSelf(selfWith({ other: ['shop'] }))
      await until('the alias is there', () => aliasesOf(reports.at(-1) ?? []).at(-1) === 'shop')
      expect(reports.at(-1)?.[0]).toBe(reports[0]?.[0])
    })
  })
})

describe('a round is void, and nothing is dropped', () => {
  test.each<[MetadataFault, RegExp]>([
    ['down', /reading http:.*containers failed/],
    ['500', /answered with status 500/],
    ['garbage', /answered 35 characters that are not JSON/],
    ['partial', /not JSON/],
    ['truncated', /reading http:.*containers failed/],
    ['slow', /the whole answer took longer than 0\.2 s/],
    ['stalled', /the whole answer took longer than 0\.2 s/],
    ['endless', /reading http:.*containers failed/],
  ])('when the service is %s', async (kind, message) => {
    const double = await start({ tree: treeOf({ name: 'a' }) })
    double.fault(kind, /containers/)
    const timeoutMs = kind === 'slow' || kind === 'stalled' ? 200 : 10_000
    const error: unknown = await sourceOf(double, { timeoutMs, maxBytes: 4 * 1024 * 1024 })
      .list(signal)
      .catch((reason: unknown) => reason)
    expect(messageOf(error)).toMatch(message)
  })

  const good = metadataContainer({ name: 'a', labels: PORT })
  test.each<[string, AnswerMap[string], string]>([
    ['containers are a map', {}, 'expected array'],
    ['containers are text', 'none', 'expected array'],
    ['a container is a name only', ['Default_alena_1'], 'expected object'],
    ['labels are a list', [{ ...good, labels: ['a'] }], '0.labels'],
    ['a label is a map', [{ ...good, labels: { ...PORT, x: {} } }], '0.labels.x'],
    ['there is no uuid', [{ ...good, uuid: null }], 'uuid of container "a"'],
    ['the address is a number', [{ ...good, primary_ip: 7 }], 'primary_ip of container "a"'],
    ['the stack is a map', [{ ...good, stack_name: {} }], 'stack_name of container "a"'],
    ['the state is a list', [{ ...good, state: [] }], 'state of container "a"'],
    ['ports are a map', [{ ...good, ports: {} }], 'ports of container "a"'],
    ['two containers have one uuid', [good, { ...good, name: 'b' }], 'two containers with the uuid'],
  ])('when %s', async (_, containers, message) => {
    await expect(listOf({ ...metadataTree([]), containers })).rejects.toThrow(message)
  })

  test('when there are no containers at all under that version', async () => {
    await expect(listOf({ hosts: [] })).rejects.toThrow('answered 404; does that server know this version?')
  })

  test('but not when the list is null, or what we do not use is odd', async () => {
    expect(await listOf({ containers: null })).toEqual([])
    const odd = { labels: null, name: 7, uuid: null, state: {} }
    expect(await listOf({ ...metadataTree([]), containers: [odd, good] })).toHaveLength(1)
  })

  test('and one that is cannot be told from settings that can never work', async () => {
    const double = await start()
    expect(() => sourceOf(double, { host: 'a b' })).toThrow('write host or host:port')
    expect(() => sourceOf(double, { host: 'user@host/path' })).toThrow('write host or host:port')
    expect(() => sourceOf(double, { version: '../x' })).toThrow('write 2015-07-25, 2015-12-19, 2016-07-29 or latest')
  })
})

describe('following the metadata service', () => {
  test('by long poll asks once and waits', async () => {
    const double = await start({ tree: treeOf({ name: 'a' }) })
    await watching(sourceOf(double), async ({ reports }) => {
      await until('it waits', () => double.waiting === 1)
      expect(double.requests.map(({ url }) => url.replace(/value=[^&]+/, 'value=V'))).toEqual([
        '/2015-12-19/version',
        '/2015-12-19/containers',
        '/2015-12-19/self/service/metadata/aliases',
        '/2015-12-19/version?wait=true&value=V&maxWait=10',
      ])
      expect(new Set(double.requests.map(({ accept }) => accept))).toEqual(new Set(['application/json']))
      double.set(treeOf({ name: 'b' }))
      await until('the change is reported', () => reports.at(-1)?.[0]?.name === 'b')
    })
  })

  test('reports nothing when only the version, the order or something of others changed', async () => {
    const double = await start({ tree: treeOf({ name: 'a' }, { name: 'b' }) })
    await watching(sourceOf(double), async ({ reports }) => {
      await until('it waits', () => double.waiting === 1)
      double.reload()
      await until('it waits again', () => listings(double) === 2 && double.waiting === 1)
      double.set(treeOf({ name: 'b' }, { name: 'z', labels: {} }, { name: 'a' }))
      await until('it waits again', () => listings(double) === 3 && double.waiting === 1)
      expect(reports).toHaveLength(1)
    })
  })

  test('a wait that breaks off is no outage while the service answers', async () => {
    const double = await start({ tree: treeOf({ name: 'a' }) })
    await watching(sourceOf(double, { pollInterval: 60 }), async ({ reports, failures }) => {
      await until('it waits', () => double.waiting === 1)
      double.fault('truncated', /wait=true/)
      double.reload()
      await until('it lists again and again', () => listings(double) > 3)
      expect([reports.length, failures.length]).toEqual([1, 0])
    })
  })

  test.each(['garbage', 'partial', '500', 'truncated'] as const)(
    '%s is told once and leaves the last report in force',
    async (kind) => {
      const double = await start({ tree: treeOf({ name: 'a' }) })
      await watching(sourceOf(double), async ({ reports, failures }) => {
        await until('it waits', () => double.waiting === 1)
        double.fault(kind, /containers/)
        double.reload()
        await until('it has tried more than once', () => listings(double) > 2)
        expect([reports.length, failures.length]).toEqual([1, 1])
        double.fault(undefined)
        await until('it reports again', () => reports.length === 2)
        expect(reports[1]?.[0]).toBe(reports[0]?.[0])
      })
    },
  )

  test('starts before the service does', async () => {
    const double = await start({ tree: treeOf({ name: 'a' }) })
    double.fault('down')
    await watching(sourceOf(double), async ({ reports, failures }) => {
      await until('the outage is told', () => failures.length === 1)
      double.fault(undefined)
      await until('it reports', () => reports.length === 1)
    })
  })

  test('an address that comes later is reported', async () => {
    const double = await start({ tree: treeOf({ name: 'a', ip: '' }) })
    await watching(sourceOf(double), async ({ reports }) => {
      await until('it waits', () => double.waiting === 1)
      double.set(treeOf({ name: 'a', ip: '10.0.0.1' }))
      await until('the address is there', () => reports.at(-1)?.[0]?.networks[0]?.address === '10.0.0.1')
    })
  })

  test('copes with 10,000 containers, and one change leaves the other objects as they are', async () => {
    const many = Array.from({ length: 10_000 }, (_, index) => ({ name: `c${index}`, stack: `s${index % 500}` }))
    const double = await start({ tree: treeOf(...many) })
    const source = sourceOf(double, { timeoutMs: 20_000 })
    const before = await source.list(signal)
    expect(before).toHaveLength(10_000)
    double.set(
      treeOf(...shuffled(many).map((facts) => (facts.name === 'c77' ? { ...facts, state: 'stopped' } : facts))),
    )
    const after = await source.list(signal)
    const changed = after.filter((instance, index) => instance !== before[index])
    expect(changed.map(({ name, state }) => [name, state])).toEqual([['c77', 'stopped']])
  })
})

const listings = (double: MetadataServer) => double.requests.filter(({ url }) => url.endsWith('/containers')).length

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
