import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Instance } from '../../src/model/instance.js'
import { createPlanner } from '../../src/model/planner.js'
import { createWishReader } from '../../src/model/reader.js'
import { instance, rules } from '../support/instances.js'

const plan = (...instances: Instance[]) => createPlanner(rules)(instances)
const hostsOf = (...instances: Instance[]) => plan(...instances).routes.map(({ host, backend }) => `${host} ${backend}`)

describe('names', () => {
  test('a container with nothing but a port gets its own name under the domain', () => {
    const { backends, routes } = plan(instance('app-r123', { port: '8080' }))
    expect(routes).toEqual([
      expect.objectContaining({ host: 'app-r123.ci.example.com', path: '/', wildcard: false, backend: 'app-r123' }),
    ])
    expect(backends[0]?.servers).toEqual([
      { name: 'app-r123', address: '10.0.0.1', port: 8080, options: [], instance: 'app-r123' },
    ])
  })

  test.each([
    ['compose', { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' }],
    ['swarm', { 'com.docker.stack.namespace': 'shop', 'com.docker.swarm.service.name': 'web' }],
    ['rancher', { 'io.rancher.stack.name': 'shop', 'io.rancher.stack_service.name': 'shop/web' }],
    ['our own labels over others', { stack: 'shop', service: 'web', 'com.docker.compose.project': 'other' }],
  ])('stack and service come from %s', (_, labels) => {
    const [backend] = plan(instance('c1', { port: '80', ...labels })).backends
    expect(backend).toMatchObject({ name: 'shop', stack: 'shop', service: 'web' })
  })

  test('the second service of a stack is called stack-service, a named route adds its name', () => {
    const names = plan(
      instance('a', { port: '80', stack: 'shop', service: 'web' }),
      instance('b', {
        port: '80',
        stack: 'shop',
        service: 'api',
        host: 'api.example.com',
        'routes.admin.port': '81',
        'routes.admin.path': '/admin',
      }),
    ).backends.map(({ name }) => name)
    expect(names).toEqual(['shop', 'shop-api', 'shop-api-admin'])
  })

  test('two stacks whose names would make one backend name get different ones', () => {
    const { backends } = plan(
      instance('a', { port: '80', stack: 'a-b', service: 'x' }),
      instance('b', { port: '80', stack: 'a', service: 'web', host: 'one.test' }),
      instance('c', { port: '80', stack: 'a', service: 'b', host: 'two.test' }),
    )
    expect(new Set(backends.map(({ name }) => name)).size).toBe(3)
  })

  describe('of one stack in two environments', () => {
    const shop = (environment: string, port: number, labels = {}) =>
      instance(
        `shop-web-${environment}`,
        { port: '80', stack: 'shop', service: 'web', ...labels },
        { environment, networks: [], ports: [{ port: 80, published: { address: '10.0.0.1', port } }] },
      )

    test('stand for two stacks: who was there first has the hostname, and nobody shares its traffic', () => {
      const { backends, routes, rejections } = plan(shop('Production', 8001), shop('Staging', 8002))
      expect(routes.map(({ host, backend }) => `${host} ${backend}`)).toEqual(['shop.ci.example.com shop'])
      expect(backends.find(({ name }) => name === 'shop')?.servers).toMatchObject([{ port: 8001 }])
      expect(rejections).toMatchObject([
        {
          container: 'shop-web-Staging',
          reason: 'shop.ci.example.com is held by shop-web-Production, which was there first',
        },
      ])
    })

    test('make two hostnames by %ENVIRONMENT%', () => {
      const host = '%STACK%.%ENVIRONMENT%.%DOMAIN%'
      const { routes, rejections } = plan(shop('Production', 8001, { host }), shop('Our Staging', 8002, { host }))
      expect(rejections).toEqual([])
      expect(routes).toMatchObject([
        { host: 'shop.our-staging.ci.example.com', backend: expect.stringMatching(/^shop-[0-9a-f]{6}$/) },
        { host: 'shop.production.ci.example.com', backend: 'shop' },
      ])
    })

    test('%ENVIRONMENT% where there is none is told', () => {
      const { rejections } = plan(instance('a', { port: '80', host: 'a.%ENVIRONMENT%.%DOMAIN%' }))
      expect(rejections).toMatchObject([{ container: 'a', label: 'hostler.host', value: 'a.%ENVIRONMENT%.%DOMAIN%' }])
    })
  })

  test('a stack called like one of our own sections does not replace it', () => {
    expect(plan(instance('be_sorry', { port: '80' })).backends[0]?.name).toMatch(/^be_sorry-[0-9a-f]{6}$/)
  })

  test('a stack name that is no DNS label is made one', () => {
    expect(hostsOf(instance('c', { port: '80', 'com.docker.compose.project': 'My Shop!' }))).toEqual([
      'my-shop.ci.example.com My-Shop',
    ])
  })
})

describe('taking part', () => {
  test('a container without a label of ours is a stranger', () => {
    expect(plan(instance('db', { 'com.docker.compose.project': 'shop' })).backends).toEqual([])
  })

  test('the port label of the operator is enough', () => {
    expect(hostsOf(instance('c', { 'map-public-http': '80' }))).toHaveLength(1)
  })

  test('enable=false switches a container off', () => {
    expect(plan(instance('c', { enable: 'false', port: '80' }))).toMatchObject({ backends: [], rejections: [] })
  })

  test('without a port label the only exposed port is taken; with several the container is refused', () => {
    const one = instance('one', { enable: 'true' }, { ports: [{ port: 3000 }] })
    const two = instance('two', { enable: 'true' }, { ports: [{ port: 80 }, { port: 443 }] })
    const { backends, rejections } = plan(one, two)
    expect(backends.map(({ servers }) => servers[0]?.port)).toEqual([3000])
    expect(rejections).toEqual([
      expect.objectContaining({ container: 'two', label: 'hostler.port', reason: expect.stringContaining('80, 443') }),
    ])
  })

  test.each([
    ['paused', 'paused'],
    ['stopping', 'stopping'],
    ['restarting', 'restarting'],
  ] as const)('a %s container keeps its hostname and takes no traffic', (state, reason) => {
    const { backends } = plan(instance('c', { port: '80' }, { state }))
    expect(backends[0]).toMatchObject({ servers: [], waiting: [{ instance: 'c', reason }] })
  })

  test('a stopped container has no hostname', () => {
    expect(plan(instance('c', { port: '80' }, { state: 'stopped' })).routes).toEqual([])
  })

  test('a container with a health check takes traffic only when healthy', () => {
    const servers = (health: Instance['health']) =>
      plan(instance('c', { port: '80' }, { health })).backends[0]?.servers.length
    expect([servers('starting'), servers('unhealthy'), servers('healthy')]).toEqual([0, 0, 1])
  })
})

describe('reaching', () => {
  const networks = [
    { name: 'a', address: '10.1.0.2', shared: false },
    { name: 'b', address: '10.2.0.2', shared: true },
    { name: 'c', address: '10.3.0.2', shared: true },
  ]
  const address = (labels: Record<string, string>, over: Partial<Instance>) =>
    plan(instance('x', { port: '80', ...labels }, over)).backends[0]?.servers[0]

  test('a network shared with the proxy goes before others, the first by name', () => {
    expect(address({}, { networks })?.address).toBe('10.2.0.2')
    expect(address({}, { networks: networks.slice(0, 1) })?.address).toBe('10.1.0.2')
  })

  test('the network label chooses', () => {
    expect(address({ network: 'c' }, { networks })?.address).toBe('10.3.0.2')
  })

  test('a network that the container is not attached to is refused by name', () => {
    const { rejections, backends } = plan(instance('x', { port: '80', network: 'nope' }, { networks }))
    expect(rejections[0]).toMatchObject({ label: 'hostler.network', value: 'nope', remedy: 'name one of a, b, c' })
    expect(backends[0]?.servers).toEqual([])
  })

  test('without a network the published port is used', () => {
    const ports = [{ port: 80, published: { address: '192.0.2.7', port: 32768 } }]
    expect(address({}, { networks: [], ports })).toMatchObject({ address: '192.0.2.7', port: 32768 })
  })

  test('a port that is not published cannot be reached, and that is said', () => {
    const ports = [{ port: 9000, published: { address: '192.0.2.7', port: 32768 } }, { port: 80 }]
    expect(plan(instance('x', { port: '80' }, { networks: [], ports })).rejections[0]).toMatchObject({
      label: 'hostler.port',
      value: '80',
    })
  })
})

describe('hostnames', () => {
  test('hosts, wildcards, placeholders and aliases', () => {
    const labels = {
      port: '80',
      stack: 'shop',
      host: '%STACK%-%SERVICE%.%DOMAIN%, *.shop.test',
      service: 'web',
      aliases: 'www, m',
    }
    expect(hostsOf(instance('c', labels))).toEqual([
      'm.ci.example.com shop',
      'shop-web.ci.example.com shop',
      'www.ci.example.com shop',
      '*.shop.test shop',
    ])
  })

  test('the first holder keeps a hostname; the other is told who has it', () => {
    const { routes, rejections } = plan(
      instance('first', { port: '80', host: 'a.test' }),
      instance('second', { port: '80', host: 'a.test,b.test' }),
    )
    expect(routes.map(({ host, backend }) => `${host} ${backend}`)).toEqual(['a.test first', 'b.test second'])
    expect(rejections).toEqual([
      expect.objectContaining({
        container: 'second',
        label: 'hostler.host',
        value: 'a.test',
        reason: 'a.test is held by first, which was there first',
      }),
    ])
  })

  test('the other takes over when the holder is gone', () => {
    const first = instance('first', { port: '80', host: 'a.test' })
    const second = instance('second', { port: '80', host: 'a.test' })
    const planner = createPlanner(rules)
    planner([first, second])
    expect(planner([second])).toMatchObject({ routes: [{ host: 'a.test', backend: 'second' }], rejections: [] })
  })

  test('containers of one service share a backend; the oldest speaks for it', () => {
    const { backends, warnings } = plan(
      instance('web-1', { port: '80', stack: 's', service: 'web', host: 'a.test' }),
      instance('web-2', { port: '81', stack: 's', service: 'web', host: 'a.test' }),
      instance('web-3', { port: '80', stack: 's', service: 'web', host: 'b.test' }),
    )
    expect(backends).toHaveLength(1)
    expect(backends[0]?.servers.map(({ name, port }) => `${name}:${port}`)).toEqual([
      'web-1:80',
      'web-2:81',
      'web-3:80',
    ])
    expect(backends[0]?.routes.map(({ host }) => host)).toEqual(['a.test'])
    expect(warnings).toEqual([expect.objectContaining({ container: 'web-3' })])
  })

  test('routes of one host differ by path and cookie, and equal priorities are set apart by what is more specific', () => {
    const { routes } = plan(
      instance('plain', { port: '80', host: 'a.test', priority: '50' }),
      instance('api', { port: '80', host: 'a.test', path: '/api/', priority: '50' }),
      instance('canary', { port: '80', host: 'a.test', cookie: 'canary=yes', priority: '50' }),
    )
    expect(routes.map(({ backend, path, priority }) => `${backend} ${path} ${priority}`)).toEqual([
      'canary / 52',
      'api /api 51',
      'plain / 50',
    ])
  })
})

describe('bad labels', () => {
  test('the route with the bad label is refused; other routes of the container and other containers live', () => {
    const { backends, rejections } = plan(
      instance('c', { port: '80', 'routes.bad.host': 'a b', 'routes.good.host': 'good.test' }),
      instance('d', { port: '80' }),
    )
    expect(backends.map(({ name }) => name)).toEqual(['c', 'c-good', 'd'])
    expect(rejections).toEqual([
      expect.objectContaining({ container: 'c', label: 'hostler.routes.bad.host', value: 'a b' }),
    ])
  })

  test.each([
    ['port', '0'],
    ['port', '70000'],
    ['port', 'abc'],
    ['port', '80\n  bind :1'],
    ['host', 'a.*.test'],
    ['host', 'bücher.test'],
    ['host', 'a"b.test'],
    ['host', '{{ env "SECRET" }}.test'],
    ['host', '%STCK%.test'],
    ['host', 'x'.repeat(10_000)],
    ['path', 'api'],
    ['path', '/a b'],
    ['path', '/a%20b'],
    ['path', '/{{x}}'],
    ['path', "/it's"],
    ['cookie', 'novalue'],
    ['cookie', 'a=b;c'],
    ['priority', '0'],
    ['scheme', 'ftp'],
    ['proxy-protocol', 'v3'],
    ['health-check', '/a b'],
    ['health-check', 'http://elsewhere.test/'],
    ['health-check-status', '99'],
    ['weight', '-1'],
    ['network', 'a b'],
    ['stack', 'a\nb'],
    ['routes.x y.port', '80'],
    ['send-proxy', 'send-proxy resolvers evil'],
    ['send-proxy', 'check\n  server evil 1.2.3.4:80'],
  ])('%s=%j is refused, with container, label, value and remedy', (label, value) => {
    const bad = instance('bad', { port: '80', [label]: value })
    const { rejections, backends } = plan(bad, instance('good', { port: '80' }))
    const expected = Object.keys(bad.labels).find((key) => key.endsWith(label)) ?? ''
    expect(rejections).toEqual([
      expect.objectContaining({
        container: 'bad',
        label: expect.stringContaining(expected.slice(0, 12)),
        remedy: expect.stringMatching(/\w/),
      }),
    ])
    expect(backends.map(({ name }) => name)).toContain('good')
    if (value.length > 3) expect(JSON.stringify(backends)).not.toContain(JSON.stringify(value).slice(1, -1))
  })

  test('a misspelt label is pointed out and the route lives', () => {
    const { backends, warnings } = plan(instance('c', { prot: '80', port: '81' }))
    expect(backends).toHaveLength(1)
    expect(warnings[0]).toMatchObject({ label: 'hostler.prot', reason: 'no label is called that. Did you mean port?' })
  })

  test('a bad sleep label leaves the route alone and is pointed out', () => {
    const { backends, warnings } = plan(instance('c', { port: '80', idle: 'soon' }))
    expect(backends).toHaveLength(1)
    expect(warnings[0]).toMatchObject({ label: 'hostler.idle', value: 'soon' })
  })
})

describe('sleep and wake', () => {
  const labels = { port: '80', wake: 'true' }
  const first = (...facts: Instance[]) => plan(...facts).backends[0]

  test.each<[string, Partial<Instance>, Record<string, string>, boolean, string]>([
    ['stopped, and may be woken', { state: 'stopped' }, labels, true, 'asleep'],
    ['paused, and may be woken', { state: 'paused' }, labels, true, 'paused'],
    ['unhealthy, and may be woken', { health: 'unhealthy' }, labels, true, 'unhealthy'],
    ['starting', { health: 'starting' }, { port: '80' }, true, 'starting'],
    ['restarting', { state: 'restarting' }, { port: '80' }, true, 'restarting'],
    ['paused by somebody', { state: 'paused' }, { port: '80' }, false, 'paused'],
    ['unhealthy for good', { health: 'unhealthy' }, { port: '80' }, false, 'unhealthy'],
    ['being stopped', { state: 'stopping' }, { port: '80' }, false, 'stopping'],
  ])('a backend of which all is %s: held is %4$s', (_, over, wished, held, reason) => {
    expect(first(instance('web', wished, over))).toMatchObject({ held, servers: [], waiting: [{ reason }] })
  })

  test('one live server is enough not to hold anything', () => {
    const [one, two] = ['1', '2'].map((name) => ({ ...labels, service: 'web', stack: 's', name }))
    const facts = [instance('web-1', one), instance('web-2', two, { state: 'stopped' })]
    expect(first(...facts)).toMatchObject({ held: false, waiting: [{ instance: 'web-2', reason: 'asleep' }] })
  })

  test('a source without a runtime wakes nothing', () => {
    expect(plan(instance('web', labels, { state: 'stopped', source: 'file' })).backends).toEqual([])
  })

  test('without a public port nothing is held', () => {
    const deaf = createPlanner({ ...rules, sleep: { ...rules.sleep, holds: false, sources: [] } })
    expect(deaf([instance('web', labels, { health: 'starting' })]).backends[0]?.held).toBe(false)
  })

  test('a container without traffic takes part without a route, and nobody complains', () => {
    const made = plan(instance('db', { port: 'none', wake: 'true', group: 'shop' }, { ports: [{ port: 5432 }] }))
    expect(made).toMatchObject({ backends: [], rejections: [], warnings: [] })
  })
})

describe('containers that a cookie or the path names', () => {
  const direct = { ...rules.direct, cookieRouting: true }
  const spawned = (name: string, more: Record<string, string> = {}, over: Partial<Instance> = {}) =>
    instance(name, { 'com.example': '1', ...more }, { ...over, ports: [{ port: 9000 }] })
  const withOrigin = (fact: Instance): Instance => ({ ...fact, labels: { ...fact.labels, origin: 'spawner' } })

  test('get one route for every host', () => {
    const { routes } = createPlanner({ ...rules, direct })([withOrigin(spawned('minion-1'))])
    expect(routes).toMatchObject([{ host: '*', path: '/', cookie: { name: 'instance', value: 'minion-1' } }])
  })

  test('can be woken, and sleep only when a label says so', () => {
    const read = createWishReader({ ...rules, direct })
    expect(read(withOrigin(spawned('minion-1')))?.lifecycle).toMatchObject({ wake: true, idleMs: 0 })
    expect(read(withOrigin(spawned('minion-1', { idle: '5m' })))?.lifecycle).toMatchObject({ idleMs: 300_000 })
  })

  test.each([
    ['http://minion-1:9000/status', { path: '/status', port: 9000, status: '200,300-399' }],
    ['/status', { path: '/status', status: '200,300-399' }],
    ['http://169.254.169.254/latest', undefined],
  ])('the label health-check %s asks the container alone', (url, probe) => {
    const read = createWishReader({ ...rules, direct })
    const fact = withOrigin(spawned('minion-1'))
    const wish = read({ ...fact, labels: { ...fact.labels, 'health-check': url } })?.routes[0]
    expect(wish?.probe).toEqual(probe)
  })

  test('take no part where no such routing is on', () => {
    expect(plan(withOrigin(instance('minion-1', {}, { ports: [{ port: 9000 }] }))).backends).toEqual([])
  })

  test('come after every host and wildcard', () => {
    const facts = [
      withOrigin(spawned('minion-1')),
      instance('a', { port: '80', host: '*.x.test' }),
      instance('b', { port: '80' }),
    ]
    const { routes } = createPlanner({ ...rules, direct })(facts)
    expect(routes.map(({ host }) => host)).toEqual(['b.ci.example.com', '*.x.test', '*'])
  })
})

describe('purity', () => {
  const crowd = () => [
    instance('one', { port: '80', stack: 's', service: 'web' }),
    instance('two', { port: '80', stack: 's', service: 'api', path: '/api' }),
    instance('three', { port: '80', host: 'x.test' }),
    instance('four', { port: '80', host: 'x.test' }),
  ]

  test('the order in which facts arrive does not matter', () => {
    const facts = crowd()
    expect(plan(...facts.toReversed())).toEqual(plan(...facts))
  })

  test('a planner that has seen other facts before makes the same plan as a fresh one', () => {
    const facts = crowd()
    const planner = createPlanner(rules)
    planner(facts)
    planner(facts.slice(1))
    planner([...facts, instance('late', { port: '80', stack: 's', service: 'web' })])
    expect(planner(facts)).toEqual(plan(...facts))
  })

  test('whatever happened before, the plan is that of a fresh planner', () => {
    const stacks = fc.constantFrom('s', 't')
    const container = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      state: fc.constantFrom('running', 'running', 'paused', 'stopped'),
      health: fc.constantFrom('none', 'healthy', 'unhealthy'),
      createdAt: fc.constantFrom(1000, 2000, 3000),
      address: fc.constantFrom('10.0.0.1', '10.0.0.2', 'not an address'),
      labels: fc.record(
        {
          port: fc.constantFrom('80', '81', 'none'),
          stack: stacks,
          service: stacks,
          host: fc.constantFrom('x.test', 'x.test,y.test', '*.test', '%STACK%-%SERVICE%.test,%SERVICE%.other'),
          path: fc.constantFrom('/', '/api', '/api/v1'),
          priority: fc.constantFrom('5', '6'),
          weight: fc.constantFrom('1', '2'),
          cookie: fc.constantFrom('a=1', 'b=2'),
          network: fc.constantFrom('web', 'other'),
        },
        { requiredKeys: ['port', 'host', 'priority'] },
      ),
    })
    type Seed = Omit<typeof container extends fc.Arbitrary<infer T> ? T : never, 'name' | 'createdAt' | 'labels'> & {
      readonly name: string
      readonly createdAt: number
      readonly labels: Readonly<Record<string, string | undefined>>
    }
    const facts = fc
      .uniqueArray(container, { selector: ({ name }) => name, maxLength: 5 })
      .map((all) => all.sort((a, b) => (a.name < b.name ? -1 : 1)))
    // Mostly small steps: one container changes in one respect, the others stay the same object.
    const steps = fc.array(
      fc.record({
        at: fc.nat(4),
        change: container,
        kind: fc.constantFrom('live', 'live', 'age', 'whole', 'gone', 'comes', 'comes', 'comes last', 'comes last'),
      }),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(facts, steps, (start, changes) => {
        const made = ({ name, state, health, createdAt, address, labels }: Seed) =>
          instance(
            name,
            labels as Record<string, string>,
            {
              ...{ state, health, createdAt, networks: [{ name: 'web', address, shared: false }] },
            } as Partial<Instance>,
          )
        const planner = createPlanner(rules)
        let now = start.map((seed: Seed) => ({ seed, fact: made(seed) }))
        planner(now.map(({ fact }) => fact))
        for (const [round, { at, change, kind }] of changes.entries()) {
          if (kind === 'gone') now = now.toSpliced(at, 1)
          if (kind.startsWith('comes')) {
            const createdAt = kind === 'comes' ? change.createdAt : 5000 + round
            const labels = { ...change.labels, service: `${change.labels.service}${at > 2 ? round : ''}` }
            const seed = { ...change, name: `n${round}`, createdAt, labels }
            now = now.toSpliced(at, 0, { seed, fact: made(seed) })
          }
          now = now.map((entry, index) => {
            if (index !== at) return entry
            const { state, health, address, createdAt } = change
            const parts = { live: { state, health, address }, age: { createdAt }, whole: change }
            if (!(kind in parts)) return entry
            const seed = { ...entry.seed, ...parts[kind as keyof typeof parts], name: entry.seed.name }
            return { seed, fact: made(seed) }
          })
          const known = now.map(({ fact }) => fact)
          expect(planner(known)).toEqual(createPlanner(rules)(known))
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('a route that was lifted above another goes down again when that is gone', () => {
    const labels = { port: '80', host: 'x.test', priority: '5' }
    const [first, second] = ['a1', 'a2'].map((name) =>
      instance(name, { ...labels, stack: 'a', service: 'a', path: '/api' }),
    )
    const other = instance('b', labels)
    const planner = createPlanner(rules)
    const priorities = (...facts: (Instance | undefined)[]) =>
      planner(facts.filter((fact) => fact !== undefined)).routes.map(({ priority }) => priority)
    const paused = second && { ...second, state: 'paused' as const }
    expect(priorities(first, second, other)).toEqual([6, 5])
    expect(priorities(first, paused, other)).toEqual([6, 5])
    expect(priorities(first, paused)).toEqual([5])
  })

  test('a change of one container makes one backend anew and leaves the routes as they are', () => {
    const facts = crowd()
    const planner = createPlanner(rules)
    const before = planner(facts)
    const after = planner(facts.map((fact) => (fact.name === 'two' ? { ...fact, state: 'paused' as const } : fact)))
    expect(after.routes).toBe(before.routes)
    expect(after.backends.filter((backend) => !before.backends.includes(backend)).map(({ name }) => name)).toEqual([
      's-api',
    ])
  })

  test('a backend whose members did not change is the same object in the next plan', () => {
    const facts = crowd()
    const planner = createPlanner(rules)
    const before = planner(facts).backends
    const after = planner([...facts, instance('new', { port: '80' })]).backends
    for (const backend of before) expect(after).toContain(backend)
  })
})
