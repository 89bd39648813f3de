import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { createAccess } from '../../src/http/access.js'
import { addDeployRoutes } from '../../src/http/deploy-routes.js'
import { createMetrics } from '../../src/http/metrics.js'
import { addOpenApiRoute, deployOperations } from '../../src/http/openapi.js'
import { createPrivateServer, type PrivateServer } from '../../src/http/private-server.js'
import { silentLogger } from '../../src/lib/logger.js'
import { createDeployer, type DeployerInputs } from '../../src/lifecycle/deploy/deployer.js'
import { hashPassword } from '../../src/lifecycle/deploy/passwords.js'
import { createTokens } from '../../src/lifecycle/deploy/tokens.js'
import { createUsers } from '../../src/lifecycle/deploy/users.js'
import { RuntimeError } from '../../src/runtimes/runtime.js'
import { createFakeClock, type FakeClock } from '../support/clock.js'
import { createMemoryRuntime, type MemoryRuntime } from '../support/memory-runtime.js'
import { samplePreview } from '../support/previews.js'
import { readyState } from '../support/states.js'
import { tempDir } from '../support/temp.js'

const log = silentLogger()
const HOUR_MS = 3_600_000
/** The SHA-256 of `bar`, as predecessor 2 kept it. */
const BAR = 'fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9'

const SAFE = hashPassword('secret')

let runtime: MemoryRuntime
let clock: FakeClock
let server: PrivateServer
let dir: string

async function start(more: Partial<DeployerInputs> & { auth?: boolean } = {}): Promise<void> {
  const users = createUsers(join(dir, 'users'), log)
  const tokens = await createTokens({ path: join(dir, 'tokens'), ttlMs: HOUR_MS, fixed: ['fixed-secret'], clock, log })
  const access = createAccess({ enabled: more.auth ?? true, users, tokens, clock })
  const options = { pull: true, images: [], foreignHealthChecks: false, removeVolumes: false }
  const deployer = createDeployer({ runtime, profiles: new Map([['small', { pids: 10 }]]), ...options, log, ...more })
  server = createPrivateServer({
    listen: { host: '127.0.0.1', port: 0 },
    state: readyState,
    preview: async () => samplePreview(),
    metrics: createMetrics(),
    log,
    routes: [(app) => addDeployRoutes(app, { deployer, access }), (app) => addOpenApiRoute(app, deployOperations)],
  })
}

beforeEach(async () => {
  dir = tempDir()
  clock = createFakeClock()
  runtime = createMemoryRuntime()
  runtime.images.add('mock-app:latest')
  writeFileSync(join(dir, 'users'), `foo,${BAR}\nsafe,${await SAFE}\nbroken\n`)
  await start()
})
afterEach(() => server.stop())

const minion = (more: object = {}) => ({
  name: 'minion-1',
  network: 'traefiknet',
  image: 'mock-app:latest',
  labels: { 'health-check': 'http://minion-1:9000/status', 'traefik.enable': 'true' },
  envs: { TZ: 'Etc/UTC', CONNSTR: 'db 1', IDLE: '1m' },
  ...more,
})

const call = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, payload?: object, headers = {}) =>
  server.app.inject({ method, url, ...(payload && { payload }), headers: { token: 'fixed-secret', ...headers } })

async function login(username: string, password: string) {
  return server.app.inject({ method: 'POST', url: '/login', payload: { username, password } })
}

describe('logging in', () => {
  test.each([
    ['foo', 'bar'],
    ['safe', 'secret'],
  ])('%s gets a token that opens the API for its time', async (user, password) => {
    const { token } = (await login(user, password)).json<{ token: string }>()
    expect(token).toMatch(/^[0-9a-f]{32}$/)
    expect((await call('GET', '/deploy/', undefined, { token })).statusCode).toBe(200)
    await clock.pass(HOUR_MS)
    const late = await call('GET', '/deploy/', undefined, { token })
    expect([late.statusCode, late.json().detail]).toEqual([401, expect.stringContaining('expired')])
  })

  test('a token outlives a restart, and the disk tells nobody what it is', async () => {
    const { token } = (await login('foo', 'bar')).json<{ token: string }>()
    await server.stop()
    await start()
    expect((await call('GET', '/deploy', undefined, { token })).statusCode).toBe(200)
  })

  test.each([
    ['nobody', 'bar'],
    ['foo', 'wrong'],
    ['broken', ''],
  ])('%s with %j is refused in the same words', async (user, password) => {
    const reply = await login(user, password)
    expect([reply.statusCode, reply.json().detail]).toEqual([401, 'The user name or the password is wrong.'])
  })

  test('whoever guesses is slowed down, and nobody else', async () => {
    for (let attempt = 0; attempt < 3; attempt++) await login('foo', 'wrong')
    const reply = await login('foo', 'bar')
    expect([reply.statusCode, reply.headers['retry-after']]).toEqual([429, '1'])
    expect((await login('safe', 'secret')).statusCode).toBe(200)
    await clock.pass(1000)
    expect((await login('foo', 'bar')).statusCode).toBe(200)
  })

  test.each([
    ['no token', {}, /A token is needed/],
    ['a forged one', { token: '0'.repeat(32) }, /not one of ours/],
    ['a forged bearer', { authorization: 'Bearer x' }, /not one of ours/],
  ])('%s opens nothing', async (_, headers, reason) => {
    for (const method of ['GET', 'POST'] as const) {
      const reply = await server.app.inject({
        method,
        url: '/deploy',
        headers,
        ...(method === 'POST' && { payload: {} }),
      })
      expect([reply.statusCode, reply.json().detail]).toEqual([401, expect.stringMatching(reason)])
    }
    expect(runtime.calls).toEqual([])
  })

  test('a bearer token is as good', async () => {
    const reply = await server.app.inject({ url: '/deploy', headers: { authorization: 'Bearer fixed-secret' } })
    expect(reply.statusCode).toBe(200)
  })

  test('without deploy.auth nobody is asked', async () => {
    await server.stop()
    await start({ auth: false })
    expect((await server.app.inject('/deploy')).statusCode).toBe(200)
  })
})

describe('deploying', () => {
  test('creates, starts, lists, starts again and removes, with or without a slash at the end', async () => {
    const { id } = (await call('POST', '/deploy/', minion())).json<{ id: string }>()
    expect(runtime.calls).toEqual(['create minion-1', 'start minion-1'])
    const { instances } = (await call('GET', '/deploy')).json<{ instances: object[] }>()
    expect(instances).toMatchObject([{ id, name: 'minion-1', status: 'running', ContainerName: 'minion-1' }])
    await runtime.stop(id, AbortSignal.timeout(1000))
    expect((await call('PUT', '/deploy/minion-1/')).json()).toEqual({ id })
    expect((await call('DELETE', `/deploy/${id}`)).json()).toEqual({ result: 'ok' })
    expect((await call('GET', '/deploy/')).json()).toEqual({ instances: [] })
  })

  test('what curl sends as a form is read as the JSON that it is', async () => {
    const reply = await server.app.inject({
      method: 'POST',
      url: '/deploy',
      headers: { token: 'fixed-secret', 'content-type': 'application/x-www-form-urlencoded' },
      payload: JSON.stringify(minion()),
    })
    expect(reply.statusCode).toBe(200)
  })

  test('a DELETE that says it sends JSON and sends none is fine', async () => {
    await call('POST', '/deploy', minion())
    const reply = await call('DELETE', '/deploy/minion-1', undefined, { 'content-type': 'application/json' })
    expect(reply.json()).toEqual({ result: 'ok' })
  })

  test('the same name with the same content is the same container, with other content a conflict', async () => {
    const first = await call('POST', '/deploy', minion())
    const again = await call('POST', '/deploy', { ...minion({ envs: { IDLE: '1m', CONNSTR: 'db 1', TZ: 'Etc/UTC' } }) })
    expect(again.json()).toEqual(first.json())
    const other = await call('POST', '/deploy', minion({ envs: {} }))
    expect([other.statusCode, other.json().detail]).toEqual([409, expect.stringContaining('other content')])
    expect(runtime.workloads.size).toBe(1)
  })

  test('a hundred calls at once make one container', async () => {
    const replies = await Promise.all(Array.from({ length: 100 }, () => call('POST', '/deploy', minion())))
    expect(new Set(replies.map((reply) => reply.body)).size).toBe(1)
    expect(runtime.calls.filter((made) => made.startsWith('create'))).toEqual(['create minion-1'])
  })

  test('a missing image is pulled, and told line by line to who asks for that', async () => {
    runtime.pullable.add('fresh:1')
    const reply = await call('POST', '/deploy', minion({ image: 'fresh:1' }), { accept: 'application/x-ndjson' })
    const lines = reply.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toEqual([{ step: expect.objectContaining({ status: 'Downloading' }) }, { id: expect.any(String) }])
  })

  test('a profile gives its limits', async () => {
    await call('POST', '/deploy', minion({ profile: 'small' }))
    expect(runtime.specs.get('minion-1')?.limits).toEqual({ pids: 10 })
  })

  test('a container that does not start leaves nothing behind', async () => {
    runtime.fail('start', new RuntimeError('refused', 'The engine says: no such device.'))
    const reply = await call('POST', '/deploy', minion())
    expect([reply.statusCode, reply.json().detail]).toEqual([422, 'The engine says: no such device.'])
    expect(runtime.workloads.size).toBe(0)
  })
})

describe('bad input', () => {
  test.each<[string, object, number, RegExp]>([
    ['a field that nobody knows', { nmae: 'x' }, 400, /nmae/],
    ['a name with a slash', { name: '../x' }, 400, /^name: use letters/],
    ['no image', { image: undefined }, 400, /^image/],
    ['an image with a space', { image: 'a b' }, 400, /^image: write an image/],
    ['labels that are a list', { labels: ['a'] }, 400, /^labels/],
    ['a label with a line break in its name', { labels: { 'a\nb': '1' } }, 400, /^labels/],
    ['an environment variable that is none', { envs: { '1=x': 'y' } }, 400, /^envs/],
    ['a number for a text', { envs: { A: 1 } }, 400, /^envs\.A/],
    ['the network of the host', { network: 'host' }, 400, /^network/],
    ['another container’s network', { network: 'container:x' }, 400, /^network/],
    ['an image that does not exist', { image: 'nowhere:1' }, 422, /nowhere:1/],
    ['a profile that does not exist', { profile: 'huge' }, 422, /known: small/],
    ['a health check elsewhere', { labels: { healthcheck: 'http://169.254.169.254/' } }, 422, /itself/],
    ['a health check that is no URL', { labels: { 'health-check': 'nonsense' } }, 422, /itself/],
  ])('%s is answered precisely, and nothing is made', async (_, more, status, reason) => {
    const reply = await call('POST', '/deploy', minion(more))
    expect([reply.statusCode, reply.json().detail]).toEqual([status, expect.stringMatching(reason)])
    expect(reply.headers['content-type']).toMatch('application/problem+json')
    expect(runtime.workloads.size).toBe(0)
  })

  test.each([
    ['no JSON', '{', 400],
    ['a list', '[]', 400],
    ['nothing', '', 400],
    ['a prototype', '{"__proto__":{"a":1}}', 400],
    ['more than 256 KB', `"${'x'.repeat(300_000)}"`, 413],
  ])('a body with %s is refused', async (_, payload, status) => {
    const headers = { token: 'fixed-secret', 'content-type': 'application/json' }
    const reply = await server.app.inject({ method: 'POST', url: '/deploy', headers, payload })
    expect([reply.statusCode, reply.headers['content-type']]).toEqual([
      status,
      expect.stringMatching(/^application.problem\+json/),
    ])
  })

  test('containers that are not ours do not exist for a caller', async () => {
    runtime.images.add('db:1')
    const spec = { name: 'database', image: 'db:1', networks: [], labels: {}, env: {} }
    const { id } = await runtime.create(spec, AbortSignal.timeout(1000))
    runtime.calls.length = 0
    for (const name of ['database', id, 'nothing']) {
      for (const method of ['PUT', 'DELETE'] as const) {
        const reply = await call(method, `/deploy/${name}`)
        expect([reply.statusCode, reply.json().detail]).toEqual([
          404,
          'No container that was deployed here has that name or id.',
        ])
      }
    }
    const taken = await call('POST', '/deploy', minion({ name: 'database', labels: {} }))
    expect([taken.statusCode, taken.json().detail]).toEqual([409, 'The name database is in use. Choose another one.'])
    expect((await call('GET', '/deploy')).json()).toEqual({ instances: [] })
    expect(runtime.calls).toEqual([])
  })

  test('an engine that cannot be reached is a 503', async () => {
    runtime.fail('create', new RuntimeError('unreachable', 'The engine does not answer.'))
    expect((await call('POST', '/deploy', minion())).statusCode).toBe(503)
  })

  test('images that are not on the list are refused', async () => {
    await server.stop()
    await start({ images: ['registry.example.com/*'] })
    const reply = await call('POST', '/deploy', minion())
    expect([reply.statusCode, reply.json().detail]).toEqual([422, expect.stringContaining('deploy.images')])
  })
})

describe('the OpenAPI document', () => {
  test('describes what is really answered', async () => {
    const document = (await server.app.inject('/api/openapi.json')).json()
    const ajv = new Ajv2020({ strict: false })
    const check = (path: string, method: string, reply: Awaited<ReturnType<typeof call>>) => {
      const { responses } = document.paths[path][method]
      const described = responses[reply.statusCode]
      const [type] = String(reply.headers['content-type']).split(';')
      const validate = ajv.compile(described.content[type as string].schema)
      expect([path, validate(reply.json()), validate.errors]).toEqual([path, true, null])
    }
    check('/login', 'post', await login('foo', 'bar'))
    check('/login', 'post', await login('foo', 'wrong'))
    check('/login', 'post', await server.app.inject({ method: 'POST', url: '/login', payload: { a: 1 } }))
    check('/deploy', 'post', await call('POST', '/deploy', minion()))
    check('/deploy', 'post', await call('POST', '/deploy', minion({ envs: {} })))
    check('/deploy', 'post', await call('POST', '/deploy', {}))
    check('/deploy', 'get', await call('GET', '/deploy'))
    check('/deploy', 'get', await server.app.inject('/deploy'))
    check('/deploy/{id}', 'put', await call('PUT', '/deploy/minion-1'))
    check('/deploy/{id}', 'delete', await call('DELETE', '/deploy/minion-1'))
    check('/deploy/{id}', 'delete', await call('DELETE', '/deploy/minion-1'))
  })

  test('its request schemas take what the API takes', async () => {
    const document = (await server.app.inject('/api/openapi.json')).json()
    const { schema } = document.paths['/deploy'].post.requestBody.content['application/json']
    const validate = new Ajv2020({ strict: false }).compile(schema)
    expect([validate(minion()), validate({ ...minion(), nmae: 1 }), validate({})]).toEqual([true, false, false])
  })
})
