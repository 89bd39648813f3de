import { afterEach, describe, expect, test } from '@jest/globals'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { createAccess } from '../../src/http/access.js'
import { addLifecycleRoutes, type LifecycleControls, lifecycleOperations } from '../../src/http/lifecycle-routes.js'
import { createMetrics } from '../../src/http/metrics.js'
import { openApiDocument } from '../../src/http/openapi.js'
import { createPrivateServer, type PrivateServer } from '../../src/http/private-server.js'
import { HostlerError } from '../../src/lib/errors.js'
import { silentLogger } from '../../src/lib/logger.js'
import { createFakeClock } from '../support/clock.js'
import { readyState } from '../support/states.js'

const started: PrivateServer[] = []
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop()
})

function serve(controls: Partial<LifecycleControls> = {}, reaperNetwork = '127.0.0.1/32') {
  const calls: string[] = []
  const note = <T>(call: string, answer: T): T => {
    calls.push(call)
    return answer
  }
  const all: LifecycleControls = {
    wake: async (name) => note(`wake ${name}`, { group: name, result: 'awake', ms: 12 }),
    sleep: async (name) => note(`sleep ${name}`, { group: name, result: 'asleep' }),
    heartbeat: (name) => note(`heartbeat ${name}`, { group: name }),
    reap: async () => note('reap', { done: [{ group: 'a', why: 'idle', result: 'asleep' }], kept: 3 }),
    ...controls,
  }
  const tokens = { issue: async () => '', verify: (token: string) => (token === 'good' ? 'good' : 'unknown') } as const
  const access = createAccess({ enabled: true, users: { verify: async () => false }, tokens, clock: createFakeClock() })
  const server = createPrivateServer({
    listen: { host: '127.0.0.1', port: 0 },
    state: readyState,
    preview: async () => ({ version: '', domain: '', problems: [], proxies: [] }),
    metrics: createMetrics(),
    log: silentLogger(),
    routes: [(app) => addLifecycleRoutes(app, { controls: all, access, reaperNetwork })],
  })
  started.push(server)
  return { calls, ask: (method: 'GET' | 'POST', url: string, more = {}) => server.app.inject({ method, url, ...more }) }
}

const token = { headers: { token: 'good' } }

describe('asking for sleep and wake', () => {
  test.each([
    ['/api/wake/shop', '/api/wake/{name}', 'wake shop'],
    ['/api/sleep/shop%2Fweb', '/api/sleep/{name}', 'sleep shop/web'],
    ['/api/heartbeat/shop', '/api/heartbeat/{name}', 'heartbeat shop'],
    ['/reaper/', '/reaper', 'reap'],
  ])('POST %s does it, and answers as the document says', async (url, path, call) => {
    const { ask, calls } = serve()
    const reply = await ask('POST', url, token)
    expect([reply.statusCode, calls]).toEqual([200, [call]])
    const document = JSON.parse(JSON.stringify(openApiDocument(lifecycleOperations)))
    const { schema } = document.paths[path].post.responses[200].content['application/json']
    const validate = new Ajv2020({ strict: false }).compile(schema)
    expect([validate(reply.json()), validate.errors]).toEqual([true, null])
  })

  test.each(['/api/wake/a', '/api/sleep/a', '/api/heartbeat/a', '/reaper'])('POST %s needs a token', async (url) => {
    const { ask, calls } = serve()
    expect((await ask('POST', url)).statusCode).toBe(401)
    expect((await ask('POST', url, { headers: { token: 'forged' } })).statusCode).toBe(401)
    expect(calls).toEqual([])
  })

  test.each(['/api/wake/a', '/api/sleep/a', '/api/heartbeat/a'])('a GET of %s does nothing', async (url) => {
    const { ask, calls } = serve()
    expect([(await ask('GET', url, token)).statusCode, calls]).toEqual([405, []])
  })

  test.each([
    ['NO_SUCH_GROUP', 404],
    ['AMBIGUOUS', 409],
    ['WAKE_FAILED', 502],
    ['WAKE_TIMEOUT', 504],
  ])('%s is a problem with status %i and the reason', async (code, status) => {
    const { ask } = serve({ wake: () => Promise.reject(new HostlerError(code, 'this is why')) })
    const reply = await ask('POST', '/api/wake/x', token)
    expect([reply.statusCode, reply.json().detail]).toEqual([status, 'this is why'])
  })
})

describe('GET /reaper', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1/32', 200],
    ['::ffff:127.0.0.1', '127.0.0.1/32', 200],
    ['10.1.2.3', '127.0.0.1/32', 403],
    ['10.1.2.3', '10.0.0.0/8', 200],
    ['fd00::5', 'fd00::/64', 200],
    ['fd00::5', '10.0.0.0/8', 403],
  ])('from %s with %s is answered %i', async (remoteAddress, network, status) => {
    const { ask, calls } = serve({}, network)
    expect((await ask('GET', '/reaper/', { remoteAddress })).statusCode).toBe(status)
    expect(calls).toEqual(status === 200 ? ['reap'] : [])
  })
})
