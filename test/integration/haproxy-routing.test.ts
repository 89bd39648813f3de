import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { makePem } from '../support/pem.js'
import { createRig, type Rig, type StackEntry } from '../support/rig.js'
import { describeWith } from '../support/servers.js'
import {
  startH2cUpstream,
  startHttpsUpstream,
  startProxyProtocolUpstream,
  startUpstream,
  type Upstream,
} from '../support/upstreams.js'
import { until } from '../support/wait.js'

let rig: Rig
const apps: Record<string, Upstream> = {}

/** One container with an upstream of its own, which answers with the container's name. */
const ENTRIES: readonly StackEntry[] = [
  { name: 'plain', stack: 'app-r1', service: 'web', labels: { aliases: 'shop, WWW' } },
  { name: 'named', stack: 'App_r2', service: 'web', labels: { host: '%SERVICE%-%STACK%.%DOMAIN%,%NAME%.example.net' } },
  { name: 'wild', stack: 'wild', labels: { host: '*.wild.example.com' } },
  { name: 'fixed', stack: 'fixed', labels: { host: 'fixed.wild.example.com', path: '/only' } },
  { name: 'root', stack: 'paths', service: 'web', labels: { host: 'paths.example.com' } },
  { name: 'api', stack: 'paths', service: 'api', labels: { host: 'paths.example.com', path: '/api/' } },
  {
    name: 'v2',
    stack: 'paths',
    service: 'v2',
    labels: { host: 'paths.example.com', path: '/api/v2.0', 'strip-path': true },
  },
  { name: 'beta', stack: 'paths', service: 'beta', labels: { host: 'paths.example.com', cookie: 'tier=beta.1' } },
  { name: 'long', stack: 'paths', service: 'long', labels: { host: 'paths.example.com', path: '/long/enough' } },
  { name: 'deep', stack: 'prio', service: 'deep', labels: { host: 'prio.example.com', path: '/a/b' } },
  { name: 'high', stack: 'prio', service: 'high', labels: { host: 'prio.example.com', path: '/a', priority: 99000 } },
  { name: 'front', stack: 'multi', service: 'web' },
  { name: 'admin', stack: 'multi', service: 'admin', labels: { path: '/admin' } },
  { name: 'sick', stack: 'checked', service: 'web', labels: { 'health-check': '/healthz' } },
  { name: 'sound', stack: 'checked', service: 'web', labels: { 'health-check': '/healthz' } },
  { name: 'stuck-1', stack: 'stuck', service: 'web', labels: { sticky: true } },
  { name: 'stuck-2', stack: 'stuck', service: 'web', labels: { sticky: true } },
  { name: 'heavy', stack: 'weighed', service: 'web', labels: { weight: 100, maxconn: 7 } },
  { name: 'light', stack: 'weighed', service: 'web', labels: { weight: 0 } },
]

/** Apart from the list, because their upstreams speak something else. */
const SPECIAL: Readonly<Record<string, { labels: Record<string, string>; start: () => Promise<Upstream> }>> = {
  'proxy-v1': { labels: { 'proxy-protocol': 'v1' }, start: () => startProxyProtocolUpstream('proxy-v1') },
  'proxy-v2': { labels: { 'proxy-protocol': 'v2' }, start: () => startProxyProtocolUpstream('proxy-v2') },
  'proxy-old': { labels: { 'send-proxy': 'send-proxy-v2' }, start: () => startProxyProtocolUpstream('proxy-old') },
  secure: {
    labels: { scheme: 'https' },
    start: async () => startHttpsUpstream('secure', (await makePem('secure')).both),
  },
  h2: { labels: { scheme: 'h2c' }, start: () => startH2cUpstream('h2') },
}

async function entriesWithApps(): Promise<StackEntry[]> {
  for (const { name } of ENTRIES) apps[name] = await startUpstream(name)
  for (const [name, { start }] of Object.entries(SPECIAL)) apps[name] = await start()
  rig.keep(...Object.values(apps))
  const special = Object.entries(SPECIAL).map(([name, { labels }]): StackEntry => ({ name, stack: name, labels }))
  const withPort = ({ labels, ...entry }: StackEntry): StackEntry => ({
    ...entry,
    labels: { port: apps[entry.name]?.port ?? 0, ...(entry.stack === 'checked' && CHECKED), ...labels },
  })
  return [
    ...[...ENTRIES, ...special].map(withPort),
    { name: 'asleep', stack: 'asleep', state: 'stopped', labels: { port: 1 } },
    { name: 'paused', stack: 'paused', state: 'paused', labels: { port: 1 } },
    // Two prefixes of one container, one within the other, and both cut off.
    {
      name: 'nested',
      stack: 'nested',
      labels: {
        port: apps['plain']?.port ?? 0,
        host: 'nested.example.com',
        path: '/a',
        'strip-path': true,
        'routes.deep.port': apps['api']?.port ?? 0,
        'routes.deep.host': 'nested.example.com',
        'routes.deep.path': '/a/b',
        'routes.deep.strip-path': true,
      },
    },
    // A second route of a container that has one, to another port of it.
    {
      name: 'twofold',
      stack: 'twofold',
      labels: {
        port: apps['plain']?.port ?? 0,
        'routes.metrics.port': apps['api']?.port ?? 0,
        'routes.metrics.host': 'metrics.example.com',
      },
    },
  ]
}

const CHECKED = { 'health-check-interval': '100ms', 'health-check-timeout': '1s' }

describeWith(['haproxy', 'openssl'], 'routing through HAProxy', () => {
  beforeAll(async () => {
    rig = await createRig()
    const entries = await entriesWithApps()
    const sick = apps['sick']
    if (sick) sick.status = 500
    rig.stacks(entries)
    await rig.start()
  })
  afterAll(() => rig?.close())

  const servedBy = async (host: string, path = '/', headers: Record<string, string> = {}) =>
    (await rig.ask(host, path, { headers })).echo?.app

  test.each([
    ['app-r1.ci.example.com', 'plain'],
    ['shop.ci.example.com', 'plain'],
    ['www.ci.example.com', 'plain'],
    ['web-app_r2.ci.example.com', 'named'],
    ['named.example.net', 'named'],
    ['multi.ci.example.com', 'front'],
    ['metrics.example.com', 'api'],
    ['twofold.ci.example.com', 'plain'],
  ])('%s leads to %s', async (host, app) => {
    expect(await servedBy(host)).toBe(app)
  })

  test.each([
    'APP-R1.ci.Example.COM',
    'app-r1.ci.example.com.',
    'app-r1.ci.example.com:8080',
    'App-R1.ci.example.com.:80',
  ])('a client may write the host as %s', async (host) => {
    expect(await servedBy(host)).toBe('plain')
  })

  test.each([
    ['any.wild.example.com', '/', 'wild'],
    ['ANY.wild.example.com.:80', '/', 'wild'],
    ['under_score.wild.example.com', '/', 'wild'],
    ['a.b.wild.example.com', '/', undefined],
    ['wild.example.com', '/', undefined],
    ['.wild.example.com', '/', undefined],
    ['fixed.wild.example.com', '/only/this', 'fixed'],
    ['fixed.wild.example.com', '/', 'wild'],
  ])('a wildcard stands for one label, after exact hosts: %s%s', async (host, path, app) => {
    expect(await servedBy(host, path)).toBe(app)
  })

  test.each([
    ['/', 'root', '/'],
    ['/apix', 'root', '/apix'],
    ['/API', 'root', '/API'],
    ['/api', 'api', '/api'],
    ['/api/', 'api', '/api/'],
    ['/api?x=1', 'api', '/api?x=1'],
    ['/api/v2', 'api', '/api/v2'],
    ['/api/v2x0', 'api', '/api/v2x0'],
    ['/api/v2.0', 'v2', '/'],
    ['/api/v2.0?x=/api/v2.0', 'v2', '/?x=/api/v2.0'],
    ['/api/v2.0/users//1?q=%20', 'v2', '/users//1?q=%20'],
    ['/api/v2.0/api/v2.0/x', 'v2', '/api/v2.0/x'],
    ['/api/v2.01', 'api', '/api/v2.01'],
    ['/x/../api', 'root', '/x/../api'],
    ['/%61pi', 'root', '/%61pi'],
  ])('the longest prefix of whole segments wins, and is cut where asked: %s', async (path, app, url) => {
    expect((await rig.ask('paths.example.com', path)).echo).toMatchObject({ app, url })
  })

  test.each([
    ['/a/x', 'plain', '/x'],
    ['/a/a/b/x', 'plain', '/a/b/x'],
    ['/a/b', 'api', '/'],
    ['/a/b/a/x', 'api', '/a/x'],
    ['/a/b/a/b/x', 'api', '/a/b/x'],
  ])('a prefix within another one is cut off once: %s', async (path, app, url) => {
    expect((await rig.ask('nested.example.com', path)).echo).toMatchObject({ app, url })
  })

  test.each([
    ['tier=beta.1', '/', 'beta'],
    ['a=b; tier=beta.1; c=d', '/x', 'beta'],
    ['tier=beta.1', '/api', 'beta'],
    ['tier=beta.1', '/long/enough', 'long'],
    ['tier=beta.12', '/', 'root'],
    ['tier=betaX1', '/', 'root'],
    ['xtier=beta.1', '/', 'root'],
    ['tier=', '/', 'root'],
  ])('a cookie chooses only as a whole pair, and the longer rule wins: %s at %s', async (cookie, path, app) => {
    expect(await servedBy('paths.example.com', path, { cookie })).toBe(app)
  })

  test('a higher priority is tried first, whatever the length', async () => {
    expect(await servedBy('prio.example.com', '/a/b')).toBe('high')
    expect((await rig.ask('prio.example.com', '/')).status).toBe(404)
  })

  test('the services of one stack share its host by path', async () => {
    expect(await servedBy('multi.ci.example.com', '/admin/x')).toBe('admin')
  })

  test('a server that fails its check gets no traffic, and gets it back when it is well', async () => {
    const host = 'checked.ci.example.com'
    await until('only the sound one answers', async () => {
      const answers = await Promise.all([1, 2, 3, 4].map(() => servedBy(host)))
      return answers.every((app) => app === 'sound')
    })
    expect(apps['sick']?.hits('/healthz')).toBeGreaterThan(0)
    if (apps['sick']) apps['sick'].status = 200
    await until('the other one answers too', async () => (await servedBy(host)) === 'sick')
  })

  test('a sticky client stays with its server', async () => {
    const first = await rig.ask('stuck.ci.example.com')
    const cookie = String(first.headers['set-cookie']?.[0]).split(';')[0] ?? ''
    expect(cookie).toMatch(/^hostler_[0-9a-f]{8}=[0-9a-f]{8}$/)
    for (let count = 0; count < 6; count++) {
      expect(await servedBy('stuck.ci.example.com', '/', { cookie })).toBe(first.echo?.app)
    }
    const others = await Promise.all([1, 2, 3, 4].map(() => servedBy('stuck.ci.example.com')))
    expect(new Set(others).size).toBe(2)
  })

  test('weight and maxconn hold for each server', async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => servedBy('weighed.ci.example.com')))
    expect(new Set(answers)).toEqual(new Set(['heavy']))
    expect(rig.read('out/haproxy-backends.cfg')).toMatch(/server heavy \S+ weight 100 maxconn 7\n/)
  })

  test.each([
    ['proxy-v1', 'v1 TCP4 127.0.0.1'],
    ['proxy-v2', 'v2 TCP4 127.0.0.1'],
    ['proxy-old', 'v2 TCP4 127.0.0.1'],
  ])('%s learns the client’s address by the PROXY protocol', async (name, proxy) => {
    expect((await rig.ask(`${name}.ci.example.com`)).echo?.proxy).toBe(proxy)
  })

  test.each(['secure', 'h2'])('a backend that speaks %s is reached', async (name) => {
    expect(await servedBy(`${name}.ci.example.com`)).toBe(name)
  })

  test('an app learns who asked, how and for which host; what a client claims does not count', async () => {
    const headers = {
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'bank.example.com',
      'x-real-ip': '6.6.6.6',
      'x-forwarded-for': '6.6.6.6',
    }
    const { echo } = await rig.ask('App-r1.ci.example.com:8080', '/', { headers })
    expect(echo?.headers).toMatchObject({
      host: 'App-r1.ci.example.com:8080',
      'x-forwarded-host': 'App-r1.ci.example.com:8080',
      'x-forwarded-proto': 'http',
      'x-real-ip': '127.0.0.1',
    })
    expect(echo?.headers['x-forwarded-for']).toMatch(/127\.0\.0\.1$/)
  })

  describe('where no stack answers', () => {
    test('a browser gets a page that names the host and the ways out', async () => {
      const { status, headers, body } = await rig.ask('app-r9.ci.example.com', '/x', {
        headers: { accept: 'text/html' },
      })
      expect([status, headers['content-type'], headers['cache-control']]).toEqual([
        404,
        'text/html; charset=utf-8',
        'no-store',
      ])
      expect(body).toContain('No stack answers at <code>app-r9.ci.example.com</code>')
      expect(body).toContain('app-r123.ci.example.com')
      expect(body).toContain('currentColor 10%, transparent')
    })

    test('a program gets a problem', async () => {
      const { status, headers, body } = await rig.ask('nobody.example.com', '/', {
        headers: { accept: 'application/json' },
      })
      expect([status, headers['content-type']]).toEqual([404, 'application/problem+json'])
      expect(JSON.parse(body)).toMatchObject({ status: 404, title: 'Not Found' })
    })

    test.each(['<script>alert(1)</script>', 'a"b', '%[src]', 'a'.repeat(300), 'x'])(
      'the page never repeats what is no host name: %s',
      async (host) => {
        const { body, status } = await rig.ask(host)
        expect(status).toBeGreaterThanOrEqual(400)
        if (host !== 'x') expect(body).not.toContain(host)
        expect(body).not.toContain('127.0.0.1')
      },
    )
  })

  test('a known stack without a live container says so', async () => {
    const { status, headers, body } = await rig.ask('paused.ci.example.com')
    expect([status, headers['retry-after'], headers['content-type']]).toEqual([503, '5', 'text/html; charset=utf-8'])
    expect(body).toContain('not ready yet')
  })
})
