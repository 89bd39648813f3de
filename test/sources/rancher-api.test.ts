import { afterEach, describe, expect, test } from '@jest/globals'
import { messageOf } from '../../src/lib/errors.js'
import { silentLogger } from '../../src/lib/logger.js'
import type { Instance } from '../../src/model/instance.js'
import { createPlanner } from '../../src/model/planner.js'
import { createRancherApiSource, type RancherApiSettings } from '../../src/sources/rancher-api.js'
import { createFakeClock } from '../support/clock.js'
import { rules } from '../support/instances.js'
import { type ApiVersion, type RancherApi, type ServiceFacts, startRancherApi } from '../support/rancher-api.js'
import { until } from '../support/wait.js'
import { describeSourceContract } from './contract.js'

const PORT = { 'hostler.port': '80' }
const isRelevant = (labels: Readonly<Record<string, string>>) =>
  Object.keys(labels).some((one) => one.startsWith('hostler.'))

const sourceOf = (
  api: RancherApi,
  settings: Partial<RancherApiSettings> = {},
  version?: ApiVersion,
  log = silentLogger(),
) =>
  createRancherApiSource(
    {
      ...{ url: api.url(version), accessKey: api.accessKey, secretKey: api.secretKey, project: '' },
      ...{ pollInterval: 60, isRelevant, timeoutMs: 5000 },
      ...settings,
    },
    { log },
  )

/** A logger, and what it was warned of. */
function recorder() {
  const warnings: unknown[] = []
  const log = silentLogger()
  log.warn = (fields: unknown) => void warnings.push(fields)
  return { log, warnings }
}

const signal = new AbortController().signal

const started: RancherApi[] = []
afterEach(async () => {
  for (const api of started.splice(0)) await api.close()
})

async function start(...facts: ServiceFacts[]) {
  const api = await startRancherApi()
  started.push(api)
  for (const one of facts) api.add({ labels: PORT, ...one })
  return api
}

const listOf = async (api: RancherApi, settings: Partial<RancherApiSettings> = {}, version?: ApiVersion) =>
  sourceOf(api, settings, version).list(signal)

const one = async (facts: Partial<ServiceFacts>) => {
  const instances = await listOf(await start({ name: 'web', ...facts }))
  expect(instances).toHaveLength(1)
  return instances[0] as Instance
}

const harness = (version: ApiVersion) => async () => {
  const api = await startRancherApi()
  return {
    source: sourceOf(api, {}, version),
    put: async (names: string[]) => api.put(names.map((name) => ({ name, labels: PORT }))),
    breakOff: async () => api.fault('down'),
    mend: async () => api.fault(undefined),
    close: () => api.close(),
  }
}

describeSourceContract('rancher-api, v2-beta', harness('v2-beta'))
describeSourceContract('rancher-api, v1', harness('v1'))

describe('a service of the API', () => {
  test.each(['v2-beta', 'v1'] as const)(
    'is read from %s, and those without a label of ours are left out',
    async (version) => {
      const api = await start({ name: 'web', stack: 'shop', createdTS: 1_500_000_000_000 })
      api.add({ name: 'other' })
      api.add({ name: 'bare', launchConfig: null as never })
      const [service] = [...api.world.services.values()]
      expect(await listOf(api, {}, version)).toEqual([
        {
          id: service?.id,
          source: 'rancher-api',
          name: 'web',
          stack: 'shop',
          service: 'web',
          labels: PORT,
          state: 'running',
          health: 'none',
          createdAt: 1_500_000_000_000,
          networks: [],
          environment: 'Default',
          ports: [{ port: 80, published: { address: '10.0.0.7', port: 8080 } }],
        },
      ])
    },
  )

  test('is one instance for each address, the first with the id of the service', async () => {
    const api = await start({
      name: 'web',
      launchConfig: { labels: PORT, ports: ['8080:80/tcp', '8443:443'] },
      publicEndpoints: [
        { ipAddress: '10.0.0.9', port: 8443 },
        { ipAddress: '10.0.0.8', port: 8080 },
        { ipAddress: '10.0.0.9', port: 8080 },
      ],
    })
    const [service] = [...api.world.services.keys()]
    expect(await listOf(api)).toMatchObject([
      {
        ...{ id: service, name: 'web' },
        ports: [{ port: 80, published: { address: '10.0.0.8', port: 8080 } }, { port: 443 }],
      },
      {
        ...{ id: `${service}@10.0.0.9`, name: 'web@10.0.0.9' },
        ports: [
          { port: 80, published: { address: '10.0.0.9', port: 8080 } },
          { port: 443, published: { address: '10.0.0.9', port: 8443 } },
        ],
      },
    ])
  })

  test('has a server in its backend for each address', async () => {
    const publicEndpoints = ['10.0.0.9', '10.0.0.8', '2001:db8::1'].map((ipAddress) => ({ ipAddress, port: 8080 }))
    const plan = createPlanner(rules)(await listOf(await start({ name: 'web', stack: 'shop', publicEndpoints })))
    expect(plan.rejections).toEqual([])
    expect(
      plan.backends.map(({ name, servers }) => [name, servers.map(({ address, port }) => `${address} ${port}`)]),
    ).toEqual([['shop', expect.arrayContaining(['10.0.0.8 8080', '10.0.0.9 8080', '2001:db8::1 8080'])]])
    expect(plan.routes.map(({ host }) => host)).toEqual(['shop.ci.example.com'])
  })

  test('is one instance for each container where ports of one address were given by chance', async () => {
    const api = await start({
      name: 'web',
      launchConfig: { labels: PORT, ports: ['80/tcp'] },
      publicEndpoints: [
        { ipAddress: '10.0.0.8', port: 49_154, instanceId: '1i2' },
        { ipAddress: '10.0.0.8', port: 49_153, instanceId: '1i1' },
      ],
    })
    const [service] = [...api.world.services.keys()]
    expect((await listOf(api)).map(({ id, ports }) => [id, ports])).toEqual([
      [service, [{ port: 80, published: { address: '10.0.0.8', port: 49_153 } }]],
      [`${service}@10.0.0.8:49154`, [{ port: 80, published: { address: '10.0.0.8', port: 49_154 } }]],
    ])
  })

  test.each([
    ['a port of its own', ['1.2.3.4:8080:80'], 8080, 80],
    ['the only one without', ['443:443', '80'], 49_000, 80],
    ['one of several without: nobody can tell which', ['80', '81/tcp'], 49_000, 49_000],
    ['none that is known', [], 49_000, 49_000],
  ])('publishes %s', async (_, ports, outer, inner) => {
    const endpoints = [{ ipAddress: '10.0.0.7', port: outer }]
    const { ports: found } = await one({ launchConfig: { labels: PORT, ports }, publicEndpoints: endpoints })
    expect(found.filter(({ published }) => published)).toEqual([
      { port: inner, published: { address: '10.0.0.7', port: outer } },
    ])
  })

  test('without usable endpoints is one instance, which tells the ports that it would have', async () => {
    const launchConfig = { labels: PORT, ports: ['8080:80', '53:53/udp', 'x'], expose: ['9000'] }
    const publicEndpoints = [
      ...[
        { ipAddress: 'evil host', port: 8080 },
        { ipAddress: '10.0.0.7', port: 0 },
      ],
      ...[
        { ipAddress: '10.0.0.7', port: 53 },
        { ipAddress: '', port: 8080 },
      ],
    ]
    expect((await one({ launchConfig, publicEndpoints })).ports).toEqual([{ port: 80 }, { port: 9000 }])
    expect((await one({ launchConfig, publicEndpoints: null })).ports).toEqual([{ port: 80 }, { port: 9000 }])
  })

  test.each([
    ['active', 'healthy', 'running', 'none'],
    ['active', null, 'running', 'none'],
    ['upgraded', 'healthy', 'running', 'none'],
    ['updating-active', 'degraded', 'running', 'none'],
    ['active', 'unhealthy', 'running', 'unhealthy'],
    ['active', 'initializing', 'running', 'starting'],
    ['restarting', 'healthy', 'running', 'none'],
    ['restarting', 'degraded', 'running', 'none'],
    ['restarting', 'unhealthy', 'running', 'starting'],
    ['upgrading', 'unhealthy', 'running', 'starting'],
    ['active', 'started-once', 'stopped', 'none'],
    ['activating', 'initializing', 'running', 'starting'],
    ['activating', 'unhealthy', 'running', 'starting'],
    ['deactivating', 'healthy', 'stopping', 'none'],
    ['removing', 'healthy', 'stopping', 'none'],
    ['inactive', 'unhealthy', 'stopped', 'none'],
    ['registering', 'unhealthy', 'stopped', 'none'],
    ['updating-inactive', 'unhealthy', 'stopped', 'none'],
    ['whatever', 'whatever', 'stopped', 'none'],
  ] as const)('in state %s, %s is %s and %s', async (state, healthState, ourState, ourHealth) => {
    expect(await one({ state, healthState })).toMatchObject({ state: ourState, health: ourHealth })
  })

  test.each([
    ['active', 'healthy', 'healthy'],
    ['active', 'updating-healthy', 'healthy'],
    ['active', 'degraded', 'healthy'],
    ['active', 'reinitializing', 'starting'],
    ['active', 'updating-unhealthy', 'unhealthy'],
  ] as const)('with a health check of its own, in state %s and %s, is %s', async (state, healthState, health) => {
    const launchConfig = { labels: PORT, healthCheck: { port: 80 } }
    expect((await one({ state, healthState, launchConfig })).health).toBe(health)
  })

  const three = [1, 2, 3].map((host) => ({ ipAddress: `10.0.0.${host}`, port: 8080, instanceId: `1i${host}` }))

  test.each(['active', 'updating-active', 'upgrading', 'restarting'])(
    'is served by every container that is there while one of several is initializing, in state %s',
    async (state) => {
      const launchConfig = { labels: PORT, healthCheck: { port: 80 } }
      const facts = { state, scale: 4, healthState: 'initializing', launchConfig, publicEndpoints: three }
      const instances = await listOf(await start({ name: 'web', ...facts }))
      expect(instances.map(({ health }) => health)).toEqual(['healthy', 'healthy', 'healthy'])
      expect(createPlanner(rules)(instances).backends[0]?.servers).toHaveLength(3)
    },
  )

  test('whose sidekick is initializing serves', async () => {
    const secondaryLaunchConfigs = [{ ports: [] }]
    expect(await one({ healthState: 'initializing', secondaryLaunchConfigs })).toMatchObject({ health: 'none' })
  })

  test.each([
    ['at ports of their own', ['8080:80/tcp'], ['3306:3306', '53:53/udp']],
    ['at ports that hosts choose', ['80'], ['3306']],
    ['at a port that hosts choose, beside none of its own', [], ['3306']],
  ])('is not looked for at its sidekicks, %s', async (_, ports, aside) => {
    const api = await start({
      name: 'web',
      launchConfig: { labels: PORT, ports },
      secondaryLaunchConfigs: [{ ports: aside }],
      publicEndpoints: [8080, 3306, 53].map((port) => ({ ipAddress: '10.0.0.1', port, instanceId: `1i${port}` })),
    })
    const { backends } = createPlanner(rules)(await listOf(api))
    const servers = backends.flatMap((backend) => backend.servers.map(({ port }) => port))
    expect(servers).toEqual(ports.includes('8080:80/tcp') ? [8080] : [])
  })

  test('keeps the name of each container while it is there, whatever comes and goes beside it', async () => {
    const launchConfig = { labels: PORT, ports: ['80/tcp'] }
    const api = await start({ name: 'web', launchConfig, publicEndpoints: [] })
    const [service] = [...api.world.services.values()]
    const source = sourceOf(api)
    const names = async (...hosts: number[]) => {
      const publicEndpoints = hosts.map((host) => ({
        ...{ ipAddress: `10.0.0.${Math.trunc(host)}`, port: 8000 + host * 10, instanceId: `1i${host}` },
      }))
      Object.assign(service ?? {}, { publicEndpoints })
      const told = (await source.list(signal)).map(({ name, ports }) => [ports[0]?.published?.port ?? 0, name] as const)
      return Object.fromEntries(told)
    }
    expect(await names()).toEqual({ 0: 'web' })
    expect(await names(8)).toEqual({ 8080: 'web' })
    expect(await names(8, 7)).toEqual({ 8080: 'web', 8070: 'web@10.0.0.7' })
    expect(await names(7, 8.5, 8)).toEqual({ 8080: 'web', 8070: 'web@10.0.0.7', 8085: 'web@10.0.0.8:8085' })
    // The name of what has just gone is nobody's for a moment, so that whoever gets it next has to prove itself.
    expect(await names(7, 9)).toEqual({ 8070: 'web@10.0.0.7', 8090: 'web@10.0.0.9' })
    expect(await names(7, 9, 6)).toEqual({ 8070: 'web@10.0.0.7', 8090: 'web@10.0.0.9', 8060: 'web' })
    expect(await names()).toEqual({ 0: 'web' })
  })

  test('is called by its name alone when it is the oldest of that name, in whatever stack', async () => {
    const api = await start(
      { name: 'web', stack: 'b', createdTS: 2000 },
      { name: 'web', stack: 'a', createdTS: 3000 },
      { name: 'web', stack: 'c', createdTS: 1000 },
      { name: 'web', stack: 'a', project: 'Other', createdTS: 4000 },
    )
    const names = (await listOf(api)).map(({ name, environment }) => `${name} of ${environment}`)
    expect(names.sort()).toEqual(['web of Default', 'web.a of Default', 'web.a.Other of Other', 'web.b of Default'])
  })

  test('arrives with its label values untouched, whatever they hold', async () => {
    const labels = { 'hostler.host': 'a\nb "c" {{d}} %e ü', 'hostler.port': 80, yes: true, none: null, map: { a: [1] } }
    expect((await one({ labels })).labels).toEqual({
      ...labels,
      'hostler.port': '80',
      yes: 'true',
      none: '',
      map: '{"a":[1]}',
    })
  })

  test('that is removed is not told of', async () => {
    expect(await listOf(await start({ name: 'web', state: 'purged' }))).toEqual([])
  })
})

describe('which projects count', () => {
  const both = () => start({ name: 'a' }, { name: 'b', project: 'Other' })
  const namesIn = async (api: RancherApi, settings: Partial<RancherApiSettings>) =>
    (await listOf(api, settings)).map(({ name }) => name).join(' ')

  test('every one that the key sees, one by name, one by id, one by the URL', async () => {
    const api = await both()
    const other = api.world.project('Other').id
    expect(await namesIn(api, {})).toBe('a b')
    expect(await namesIn(api, { project: 'Other' })).toBe('b')
    expect(await namesIn(api, { project: other })).toBe('b')
    expect(await namesIn(api, { url: `${api.url()}/projects/${other}` })).toBe('b')
    expect(await namesIn(api, { url: `${api.url('v1')}/projects/${other}/schemas` })).toBe('b')
  })

  test('one that is not there is named, with those that are', async () => {
    const api = await both()
    const failure = listOf(api, { project: 'Prod' }).catch(messageOf)
    expect(await failure).toMatch(
      /no project "Prod" at .*; it sees Default \(1a\d+\), Other \(1a\d+\)\. Set RANCHER_PROJECT/,
    )
    const missing = listOf(api, { url: `${api.url()}/projects/1a9` }).catch(messageOf)
    expect(await missing).toMatch(/projects\/1a9 is not there/)
  })
})

describe('a project that is not active', () => {
  const two = async () => {
    const api = await start({ name: 'a' }, { name: 'b', project: 'Other' })
    return { api, other: api.world.project('Other') }
  }
  const namesOf = (instances: readonly Instance[]) => instances.map(({ name }) => name).join(' ')

  test.each(['inactive', 'deactivating', 'removed', 'whatever'])('%s, is left out, with one warning', async (state) => {
    const { api, other } = await two()
    other.state = state
    const { log, warnings } = recorder()
    const source = sourceOf(api, {}, 'v2-beta', log)
    for (let round = 0; round < 2; round++) expect(namesOf(await source.list(signal))).toBe('a')
    expect(warnings).toEqual([expect.objectContaining({ project: 'Other', id: other.id, state })])
    expect(api.requests.filter((request) => request.includes(other.id))).toEqual([])
  })

  test('since a moment ago, or gone, is left out at once', async () => {
    const { api, other } = await two()
    const source = sourceOf(api)
    expect(namesOf(await source.list(signal))).toBe('a b')
    other.state = 'inactive'
    expect(namesOf(await source.list(signal))).toBe('a')
    other.state = 'active'
    expect(namesOf(await sourceOf(api).list(signal))).toBe('a b')
    api.world.projects.delete(other.id)
    expect(namesOf(await source.list(signal))).toBe('a')
  })

  test('because it is being changed, is an outage: nothing of it is taken away', async () => {
    const { api, other } = await two()
    const source = sourceOf(api)
    await source.list(signal)
    other.state = 'updating-active'
    expect(await source.list(signal).catch(messageOf)).toMatch(
      /^nothing is told of project Other \(1a\d+\) while it is updating-active: GET .* answered 403/,
    )
    other.state = 'active'
    expect(namesOf(await source.list(signal))).toBe('a b')
  })

  test('and the only one that counts: that is told instead of nothing', async () => {
    const { api, other } = await two()
    other.state = 'inactive'
    expect(await listOf(api, { project: 'Other' }).catch(messageOf)).toMatch(
      /^project Other \(1a\d+\) is inactive at http:\S+; activate it there, or set RANCHER_PROJECT/,
    )
  })
})

describe('when others come and go while pages are turned', () => {
  test('what was passed over is asked for by itself, and its stack too', async () => {
    const api = await start(...['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, stack: `stack-${name}` })))
    const source = sourceOf(api)
    const told = async () => (await source.list(signal)).map(({ name, stack }) => `${name} ${stack}`)
    await told()
    const [a, , c] = [...api.world.services.values()]
    const passed = `services/${c?.id}`
    api.before(/services\?.*marker=m2/, () => void api.world.services.delete(a?.id ?? ''))
    // It was there when it was read.
    expect(await told()).toEqual(['a stack-a', 'b stack-b', 'c stack-c', 'd stack-d', 'e stack-e'])
    expect(api.requests.filter((request) => request.includes(passed))).toHaveLength(1)

    api.add({ name: 'f', stack: 'stack-f', labels: PORT })
    api.before(/stacks\?.*marker=m2/, () => void api.world.stacks.delete(a?.stackId ?? ''))
    expect(await told()).toEqual(['b', 'c', 'd', 'e', 'f'].map((name) => `${name} stack-${name}`))
  })

  test('what is gone is asked for once', async () => {
    const api = await start(...['a', 'b', 'c'].map((name) => ({ name })))
    const source = sourceOf(api)
    await source.list(signal)
    const [a] = [...api.world.services.values()]
    Object.assign(a ?? {}, { state: 'removed' })
    for (let round = 0; round < 3; round++) expect(await source.list(signal)).toHaveLength(2)
    api.pageLimit = 1
    for (let round = 0; round < 3; round++) expect(await source.list(signal)).toHaveLength(2)
    expect(api.requests.filter((request) => request.includes(`services/${a?.id}`)).length).toBeLessThan(2)
  })
})

describe('what is asked of Rancher', () => {
  test('names of projects and stacks are asked for once, and again when a stack is new', async () => {
    const api = await start({ name: 'a', stack: 'one' })
    const source = sourceOf(api)
    await source.list(signal)
    await source.list(signal)
    const asked = (word: RegExp) => api.requests.filter((request) => word.test(request)).length
    expect([asked(/projects\?/), asked(/stacks/), asked(/services/)]).toEqual([1, 1, 2])
    api.add({ name: 'b', stack: 'two', labels: PORT })
    expect((await source.list(signal)).map(({ stack }) => stack)).toEqual(['one', 'two'])
    expect([asked(/projects\?/), asked(/stacks/)]).toEqual([1, 2])
  })

  test('every page, however short Rancher makes them', async () => {
    const api = await start(...Array.from({ length: 7 }, (_, index) => ({ name: `web-${index}` })))
    api.pageLimit = 3
    expect(await listOf(api)).toHaveLength(7)
    expect(api.requests.filter((request) => request.includes('services?'))).toHaveLength(3)
    expect(api.requests.every((request) => request.includes('limit=1000'))).toBe(true)
  })

  test('more often while a service starts, so that its end is soon told', async () => {
    const api = await start({ name: 'web', state: 'activating', transitioning: 'yes' })
    const { signal: forever, abort } = controlled()
    const reports: (readonly Instance[])[] = []
    const events = { report: (all: readonly Instance[]) => void reports.push(all), failed: () => undefined }
    const ended = sourceOf(api, { pollInterval: 60_000 }).watch(events, forever)
    await until('it is seen starting', () => reports.at(-1)?.[0]?.health === 'starting')
    for (const service of api.world.services.values()) Object.assign(service, { state: 'active', transitioning: 'no' })
    await until('it is seen running', () => reports.at(-1)?.[0]?.health === 'none')
    abort()
    await ended
  })
})

describe('a service whose endpoints are not told yet', () => {
  test('is starting, and looked at twice a second, for a minute', async () => {
    const api = await start({ name: 'web', publicEndpoints: [] }, { name: 'worker', launchConfig: { ports: [] } })
    const clock = createFakeClock()
    const source = sourceOf(api, { clock })
    const healths = async () => (await source.list(signal)).map(({ name, health }) => `${name} ${health}`)
    expect(await healths()).toEqual(['web starting', 'worker none'])
    await clock.pass(59_999)
    expect(await healths()).toEqual(['web starting', 'worker none'])
    await clock.pass(1)
    expect(await healths()).toEqual(['web none', 'worker none'])
  })

  test('is ready as soon as they are', async () => {
    const api = await start({ name: 'web', publicEndpoints: [] })
    const source = sourceOf(api)
    expect(await source.list(signal)).toMatchObject([{ health: 'starting' }])
    Object.assign([...api.world.services.values()][0] ?? {}, {
      publicEndpoints: [{ ipAddress: '10.0.0.1', port: 8080 }],
    })
    expect(await source.list(signal)).toMatchObject([{ health: 'none', ports: [{ port: 80, published: {} }] }])
  })
})

describe('as time passes', () => {
  /** Follows with a clock of the test's own, which passes when the source sleeps. */
  async function follow(api: RancherApi, pollInterval: number) {
    const clock = createFakeClock()
    const { signal: forever, abort } = controlled()
    const events = { report: () => undefined, failed: () => undefined }
    const source = sourceOf(api, { clock, pollInterval })
    const ended = source.watch(events, forever)
    const asked = (word: RegExp) => api.requests.filter((request) => word.test(request)).length
    const looked = async () => until('it sleeps', () => clock.sleepers() === 1)
    await looked()
    const nudge = () => source.nudge?.()
    const pass = async (ms: number) => {
      const before = asked(/services/)
      await clock.pass(ms)
      if (clock.sleepers() === 1) return asked(/services/) - before
      await looked()
      return asked(/services/) - before
    }
    const stop = async () => {
      abort()
      await ended
    }
    return { pass, asked, stop, nudge }
  }

  test('what is under way is looked at twice a second, but not for ever', async () => {
    const api = await start({ name: 'web', state: 'activating', transitioning: 'yes' })
    const { pass, stop } = await follow(api, 10_000)
    expect(await pass(499)).toBe(0)
    expect(await pass(1)).toBe(1)
    for (let second = 0; second < 120; second++) await pass(500)
    expect(await pass(500)).toBe(0)
    expect(await pass(9500)).toBe(1)
    await stop()
  })

  test('it is looked at once somebody says that there may be something to see', async () => {
    const api = await start({ name: 'web' })
    const { asked, nudge, stop } = await follow(api, 600_000)
    nudge()
    await until('it is looked', () => asked(/services/) === 2)
    await stop()
  })

  test('names are asked for again each minute', async () => {
    const api = await start({ name: 'web' })
    const { pass, asked, stop } = await follow(api, 30_000)
    await pass(30_000)
    expect([asked(/projects\?/), asked(/stacks/)]).toEqual([1, 1])
    await pass(30_000)
    expect([asked(/projects\?/), asked(/stacks/)]).toEqual([2, 2])
    await stop()
  })
})

function controlled() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

describe('an answer that is not to be trusted', () => {
  test.each([
    ['an id that is none', { id: '../x' }],
    ['endpoints that are no list', { publicEndpoints: 'none' as never }],
    ['a state that is no text', { state: 7 as never }],
    ['labels that are no map', { launchConfig: { labels: 'none' as never } }],
    ['ports that are no list', { launchConfig: { labels: PORT, ports: '80' as never } }],
  ])('%s: nothing is told', async (_, facts) => {
    const api = await start({ name: 'good' }, { name: 'web', ...(facts as Partial<ServiceFacts>) })
    expect(await listOf(api).catch(messageOf)).toMatch(/Rancher tells of a service "web" in a way not understood/)
  })

  test('what nobody asked for may be anything', async () => {
    const api = await start(
      { name: 'good' },
      { name: 'web', labels: {}, publicEndpoints: 'none' as never, state: 7 as never },
    )
    expect((await listOf(api)).map(({ name }) => name)).toEqual(['good'])
  })

  test('a watch tells it once, and goes on when it is over', async () => {
    const api = await start({ name: 'web' })
    const { signal: forever, abort } = controlled()
    const [reports, failures]: [(readonly Instance[])[], unknown[]] = [[], []]
    const events = {
      report: (all: readonly Instance[]) => void reports.push(all),
      failed: (e: unknown) => void failures.push(e),
    }
    api.fault('500')
    const ended = sourceOf(api).watch(events, forever)
    await until('it is told, and tried again', () => failures.length === 1 && api.requests.length > 2)
    api.fault(undefined)
    await until('it reports', () => reports.length === 1)
    expect(failures.map(messageOf)).toEqual([
      expect.stringMatching(/GET http:.*\/projects\?limit=1000 answered 500; is Rancher/),
    ])
    abort()
    await ended
  })
})
