import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { type Clock, systemClock } from '../../src/lib/clock.js'
import { createTraefik } from '../../src/proxies/traefik/index.js'
import { tempDir } from '../support/temp.js'
import { startTraefikDouble, type TraefikDouble } from '../support/traefik-api.js'
import { type BackendSketch, planOf, settingsOf } from '../support/traefik-plan.js'

const signal = new AbortController().signal
let dir: string
let traefik: TraefikDouble
let lines: Record<string, unknown>[]
beforeEach(async () => {
  dir = tempDir()
  traefik = await startTraefikDouble(dir)
  lines = []
})
afterEach(() => traefik.stop())

/** Time that passes only while somebody sleeps, so that waiting ten seconds takes none. */
function createHurriedClock(): Clock {
  let now = 0
  return {
    now: () => now,
    elapsed: () => now,
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      now += ms
    },
  }
}

function proxyWith(more: Record<string, unknown> = {}, duty: 'drive' | 'publish' = 'drive') {
  const settings = settingsOf()
  const log = pino({ level: 'info' }, { write: (line) => void lines.push(JSON.parse(line)) })
  const own = { ...settings.traefik, dir, url: traefik.url, ...more }
  const proxy = createTraefik({ ...settings, traefik: own }, { log, clock: createHurriedClock(), duty })
  return {
    proxy,
    async put(...backends: BackendSketch[]) {
      for (const { path, content } of proxy.render(planOf(backends))) writeFileSync(path, content)
    },
  }
}

const app = (port = 80): BackendSketch => ({
  name: 'app',
  routes: [{ host: 'app.example.com' }],
  servers: [{ address: '10.0.0.1', port }],
})
const many = Array.from({ length: 30 }, (_, index) => ({
  ...app(),
  name: `app-${index}`,
  routes: [{ host: `app-${index}` }],
}))

describe('applying to Traefik', () => {
  test('returns when Traefik has the new revision, however long that takes', async () => {
    const { proxy, put } = proxyWith()
    await put(app())
    traefik.loadAfter(4)
    expect(await proxy.apply(signal, signal)).toMatchObject({ how: 'watched' })
    expect(traefik.asked.filter((path) => path.includes('/middlewares/hostler-'))).toHaveLength(4)
    expect(proxy.describe()).toMatchObject({ inForce: true })
    expect(await proxy.apply(signal, signal)).toMatchObject({ how: 'nothing' })
  })

  test('foresees whether Traefik gets a new file; asking does not change what is waited for', async () => {
    const { proxy, put } = proxyWith()
    await put(app())
    expect(await proxy.preview(planOf([app()]), signal)).toMatchObject({ how: 'watched' })
    await proxy.apply(signal, signal)
    expect(await proxy.preview(planOf([app()]), signal)).toMatchObject({ how: 'nothing' })
    const { how, files } = await proxy.preview(planOf([app(81)]), signal)
    expect([how, files[0]?.path, files[0]?.content]).toEqual([
      'watched',
      join(dir, 'hostler.yml'),
      expect.stringContaining(':81'),
    ])
    // What was asked for is not published, so that Traefik cannot have it.
    expect(await proxy.apply(signal, signal)).toMatchObject({ how: 'nothing' })
  })

  test('fails when Traefik does not load it in time, after reminding it once with a touched file', async () => {
    const { proxy, put } = proxyWith()
    await put(app())
    utimesSync(join(dir, 'hostler.yml'), 0, 0)
    traefik.loadAfter(Number.POSITIVE_INFINITY)
    await expect(proxy.apply(signal, signal)).rejects.toThrow(
      /did not load .* within 10000 ms: it knows no middleware hostler-/,
    )
    expect(statSync(join(dir, 'hostler.yml')).mtimeMs).toBeGreaterThan(0)
    expect(proxy.describe()).toMatchObject({ inForce: false })
  })

  test('fails when Traefik keeps other servers than the file has', async () => {
    const { proxy, put } = proxyWith()
    await put(app())
    traefik.overlay('services', 'app', { loadBalancer: { servers: [{ url: 'http://10.9.9.9:80' }] } })
    await expect(proxy.apply(signal, signal)).rejects.toThrow(/its service app@file has other servers/)
  })

  test('notices when Traefik has lost what it had', async () => {
    const { proxy, put } = proxyWith()
    await put(app())
    await proxy.apply(signal, signal)
    const text = readFileSync(join(dir, 'hostler.yml'), 'utf8')
    writeFileSync(join(dir, 'hostler.yml'), text.replaceAll(/hostler-[0-9a-f]{16}/g, 'hostler-other'))
    traefik.loadAfter(1)
    await expect(proxy.apply(signal, signal)).rejects.toMatchObject({ code: 'TRAEFIK' })
  })

  test.each([[[app(81)]], [many]])('reports routers that Traefik has disabled, once, and goes on', async (backends) => {
    const [first] = backends as BackendSketch[]
    const { proxy, put } = proxyWith()
    traefik.pageSize = 7
    traefik.overlay('routers', first?.name ?? '', { status: 'disabled', error: ['no such entry point'] })
    await put(...(backends as BackendSketch[]))
    await proxy.apply(signal, signal)
    traefik.loadAfter(1)
    await proxy.apply(signal, signal)
    expect(proxy.describe()).toMatchObject({ inForce: true, faults: `${first?.name}: disabled no such entry point` })
    expect(lines.filter((line) => line['backend'] === first?.name)).toHaveLength(1)
    traefik.overlay('routers', first?.name ?? '', {})
    traefik.loadAfter(1)
    await proxy.apply(signal, signal)
    expect(proxy.describe()).not.toHaveProperty('faults')
  })

  test('reads every page of a long list', async () => {
    const { proxy, put } = proxyWith()
    traefik.pageSize = 7
    await put(...many)
    await proxy.apply(signal, signal)
    expect(traefik.asked.filter((path) => path.includes('/routers?'))).toHaveLength(5)
  })

  test('asks only for what changed since', async () => {
    const { proxy } = proxyWith()
    const plan = planOf(many)
    const write = (wanted: typeof plan) =>
      proxy.render(wanted).forEach(({ path, content }) => {
        writeFileSync(path, content)
      })
    write(plan)
    await proxy.apply(signal, signal)
    const [changed, ...rest] = plan.backends
    write({ ...plan, backends: [{ ...changed!, servers: [] }, ...rest] })
    traefik.loadAfter(1)
    traefik.asked.length = 0
    await proxy.apply(signal, signal)
    expect(traefik.asked.map((path) => path.replace(/hostler-\w+/, 'REVISION'))).toEqual([
      '/base/api/http/middlewares/REVISION@file',
      '/base/api/http/routers/app-0@file',
      '/base/api/http/services/app-0@file',
    ])
  })

  test.each<[string, NonNullable<TraefikDouble['insteadOf']>, RegExp]>([
    [
      'answers garbage',
      (_, response) => void response.end('<html>'),
      /answers 200 without JSON; is TRAEFIK_URL its API\?/,
    ],
    ['has no API', (_, response) => void response.writeHead(404).end('404 page not found'), /answers 404 without JSON/],
    ['wants a password', (_, response) => void response.writeHead(401).end('{}'), /answers 401/],
    ['breaks off', (_, response) => void response.destroy(), /cannot be reached/],
  ])('leaves the file in place and says so when Traefik %s', async (_, insteadOf, reason) => {
    const { proxy, put } = proxyWith()
    await put(app())
    traefik.insteadOf = insteadOf
    expect(await proxy.apply(signal, signal)).toMatchObject({ how: 'watched' })
    expect(await proxy.apply(signal, signal)).toMatchObject({ how: 'nothing' })
    expect(proxy.describe()).toMatchObject({ inForce: false, reason: expect.stringMatching(reason) })
    expect(lines).toHaveLength(1)
    traefik.insteadOf = undefined
    traefik.loadAfter(1)
    await proxy.apply(signal, signal)
    expect(proxy.describe()).toMatchObject({ inForce: true })
    expect(lines.map((line) => line['msg'])).toContain('Traefik answers again')
  })

  test('does not wait for a Traefik that hangs, and stops at once when told to', async () => {
    const { proxy, put } = proxyWith()
    await put(app())
    traefik.insteadOf = () => undefined
    const stop = new AbortController()
    const stopped = proxy.apply(stop.signal, stop.signal)
    stop.abort()
    await expect(stopped).rejects.toThrow(/aborted/)
    await proxy.apply(signal, signal)
    expect(proxy.describe()).toMatchObject({ reason: expect.stringContaining('cannot be reached') })
  })

  test('sends user and password of the URL, and shows neither', async () => {
    let authorization: string | undefined
    traefik.insteadOf = (request, response) => {
      authorization = request.headers.authorization
      response.writeHead(500).end('{}')
    }
    const { proxy, put } = proxyWith({ url: traefik.url.replace('//', '//me:s%40crt@') })
    await put(app())
    await proxy.apply(signal, signal)
    expect(Buffer.from(authorization?.split(' ')[1] ?? '', 'base64').toString()).toBe('me:s@crt')
    expect(JSON.stringify([lines, proxy.describe()])).not.toContain('crt')
  })

  test.each([
    ['no URL is set', { url: '' }, 'drive' as const],
    ['another process drives it', {}, 'publish' as const],
  ])('asks nothing when %s', async (_, more, duty) => {
    const { proxy, put } = proxyWith(more, duty)
    await put(app())
    expect(await proxy.apply(signal, signal)).toMatchObject({ how: 'watched' })
    expect(await proxy.apply(signal, signal)).toMatchObject({ how: 'nothing' })
    expect(traefik.asked).toEqual([])
  })

  test('needs the middleware by which it sees the revision', () => {
    const templates = tempDir()
    writeFileSync(
      join(templates, 'hostler.yml.hbs'),
      'http:\n  middlewares:\n    x:\n      addPrefix: { prefix: /x }\n',
    )
    const settings = settingsOf()
    const create = (url: string) =>
      createTraefik(
        { ...settings, templates, traefik: { ...settings.traefik, dir, url } },
        { log: pino({ level: 'silent' }), clock: systemClock, duty: 'drive' },
      )
    expect(() => create(traefik.url).render(planOf([]))).toThrow(/put it back, or leave TRAEFIK_URL empty/)
    expect(create('').render(planOf([]))).toHaveLength(1)
  })
})

describe('starting', () => {
  test('puts a first file without routes where there is none, and leaves one that is there', async () => {
    dir = join(dir, 'not/yet/there')
    const { proxy } = proxyWith()
    await proxy.start?.(signal)
    expect(readFileSync(join(dir, 'hostler.yml'), 'utf8')).toMatch(/^http:\n {2}middlewares:\n/m)
    writeFileSync(join(dir, 'hostler.yml'), 'kept')
    await proxy.start?.(signal)
    expect(readFileSync(join(dir, 'hostler.yml'), 'utf8')).toBe('kept')
    expect(readdirSync(join(dir, '.hostler'))).toEqual([])
  })

  test('only warns when no first file can be written, for the rounds will tell', async () => {
    writeFileSync(join(dir, 'file'), '')
    dir = join(dir, 'file/below')
    await proxyWith().proxy.start?.(signal)
    expect(lines[0]?.['msg']).toMatch(/Traefik must not start before/)
    expect(existsSync(dir)).toBe(false)
  })
})

describe('what Traefik cannot do', () => {
  test('is said once for each backend, and shown', () => {
    const { proxy } = proxyWith()
    const server = { address: '10.0.0.1', port: 80, proxyProtocol: 'v2' as const, maxconn: 5, options: ['check'] }
    const plan = planOf([{ ...app(), healthCheck: { status: '200,204' }, servers: [server] }])
    proxy.render(plan)
    proxy.render(plan)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({
      backend: 'app',
      unsupported: expect.arrayContaining(['a connection limit per server']),
    })
    expect(proxy.describe()['unsupported']).toContain('app: the PROXY protocol towards servers')
    proxy.render(planOf([]))
    expect(proxy.describe()).not.toHaveProperty('unsupported')
  })

  test('does not include folders', () => {
    mkdirSync(join(dir, 'certs'))
    expect(proxyWith({ certDir: join(dir, 'certs') }).proxy.render(planOf([]))[0]?.content).not.toContain('tls:')
  })
})
