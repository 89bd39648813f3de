import { connect } from 'node:net'
import { Writable } from 'node:stream'
import { afterEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createMetrics } from '../../src/http/metrics.js'
import { createPrivateServer, type PrivateServer, type PrivateServerOptions } from '../../src/http/private-server.js'
import { silentLogger } from '../../src/lib/logger.js'
import { freePort } from '../support/ports.js'
import { calmProxy, samplePreview } from '../support/previews.js'
import { largeState, NOW, readyState, troubledState } from '../support/states.js'

const started: PrivateServer[] = []

function server(more: Partial<PrivateServerOptions> = {}): PrivateServer {
  const created = createPrivateServer({
    listen: { host: '127.0.0.1', port: 0 },
    state: readyState,
    preview: async () => samplePreview(),
    metrics: createMetrics(),
    log: silentLogger(),
    now: () => NOW,
    ...more,
  })
  started.push(created)
  return created
}

afterEach(async () => {
  for (const each of started.splice(0)) await each.stop()
})

describe('probes', () => {
  test('/healthz answers 200 whatever the state is', async () => {
    const broken = () => {
      throw new Error('no state yet')
    }
    const reply = await server({ state: broken }).app.inject('/healthz')
    expect([reply.statusCode, reply.json()]).toEqual([200, { status: 'ok' }])
  })

  test('/readyz is 200 while nothing is wrong, else 503 with every problem', async () => {
    const ready = await server().app.inject('/readyz')
    expect([ready.statusCode, ready.json()]).toEqual([200, { status: 'ready', problems: [] }])
    const reply = await server({ state: troubledState }).app.inject('/readyz')
    expect([reply.statusCode, reply.json()]).toEqual([503, { status: 'not ready', problems: troubledState().problems }])
  })
})

describe('/api/state', () => {
  test('is the state itself', async () => {
    const reply = await server({ state: troubledState }).app.inject('/api/state')
    expect(reply.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(reply.json()).toEqual(troubledState())
  })
})

describe('/api/plan', () => {
  test('is what comes next, asked for each time, with an end to waiting', async () => {
    const asked: AbortSignal[] = []
    const preview = async (signal: AbortSignal) => {
      asked.push(signal)
      return samplePreview(calmProxy({ how: 'reload', why: `asked ${asked.length} times` }))
    }
    const { app } = server({ preview })
    await app.inject('/api/plan')
    const reply = await app.inject('/api/plan')
    expect(reply.json()).toEqual(samplePreview(calmProxy({ how: 'reload', why: 'asked 2 times' })))
    expect(asked.map(({ aborted }) => aborted)).toEqual([false, false])
  })
})

describe('errors', () => {
  test.each([
    ['GET', '/nowhere', 404, 'Not found'],
    ['GET', '/%zz', 400, 'Bad request'],
    ['POST', '/healthz', 405, 'Method not allowed'],
    ['DELETE', '/api/state?x=1', 405, 'Method not allowed'],
    ['POST', '/api/plan', 405, 'Method not allowed'],
  ] as const)('%s %s is a problem with status %d', async (method, url, status, title) => {
    const reply = await server().app.inject({ method, url })
    expect(reply.statusCode).toBe(status)
    expect(reply.headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(reply.json()).toMatchObject({ status, title })
  })

  test('a method that is not allowed names those that are', async () => {
    const reply = await server().app.inject({ method: 'PUT', url: '/readyz' })
    expect(reply.headers['allow']).toBe('GET, HEAD')
  })

  test('what went wrong inside goes to the log, and not to the client', async () => {
    const lines: string[] = []
    const log = pino({ level: 'info' }, new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }))
    const state = () => {
      throw new Error('secret detail')
    }
    const reply = await server({ state, log }).app.inject('/api/state')
    expect(reply.statusCode).toBe(500)
    expect(reply.json()).toEqual({ status: 500, title: 'Internal error', detail: 'The log says what went wrong.' })
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { msg: 'request failed', url: '/api/state', err: { message: 'secret detail' } },
    ])
  })
})

describe('the log', () => {
  test.each([
    ['info', 0],
    ['debug', 1],
  ])('at %s holds %d lines for one request', async (level, expected) => {
    const lines: string[] = []
    const log = pino({ level }, new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }))
    await server({ log }).app.inject('/readyz')
    expect(lines).toHaveLength(expected)
  })
})

describe('who may call', () => {
  test.each([
    '127.0.0.1:8008',
    '[::1]:8008',
    '10.1.2.3',
    'localhost:8008',
    'hostler.localhost',
    'hostler',
    'hostler.monitoring.svc.cluster.local:8008',
    'host.docker.internal.',
    'Hostler.Example.com:8008',
  ])('%s is a name that is ours', async (host) => {
    const { app } = server({ hosts: ['hostler.example.com'] })
    expect((await app.inject({ url: '/readyz', headers: { host } })).statusCode).toBe(200)
  })

  test.each(['evil.example.com', 'localhost.evil.com', '127.0.0.1.nip.io'])(
    '%s could be anybody who points at us, and gets nothing but the remedy',
    async (host) => {
      const reply = await server({ state: troubledState }).app.inject({ url: '/api/state', headers: { host } })
      expect(reply.statusCode).toBe(403)
      expect(reply.json().detail).toMatch(/private\.hosts \(HOSTLER_PRIVATE_HOSTS\)/)
    },
  )

  test('`*` lets every name in', async () => {
    const reply = await server({ hosts: ['*'] }).app.inject({ url: '/', headers: { host: 'evil.example.com' } })
    expect(reply.statusCode).toBe(200)
  })
})

describe('listening', () => {
  test('port 0 picks a free one and says which', async () => {
    const address = await server().start()
    expect(address).toEqual({ host: '127.0.0.1', port: expect.any(Number) })
    const reply = await fetch(`http://127.0.0.1:${address.port}/healthz`)
    expect(await reply.json()).toEqual({ status: 'ok' })
  })

  test('a port in use is an error that names address and remedy', async () => {
    const { host, port } = await server().start()
    await expect(server({ listen: { host, port } }).start()).rejects.toMatchObject({
      code: 'LISTEN',
      message: `cannot listen on 127.0.0.1:${port}: another process listens there; stop it, or choose another address with private.listen (HOSTLER_PRIVATE_LISTEN)`,
    })
  })

  test('an address of another machine is an error that says so', async () => {
    const listen = { host: '192.0.2.1', port: await freePort() }
    await expect(server({ listen }).start()).rejects.toMatchObject({
      code: 'LISTEN',
      message: expect.stringContaining('this machine has no such address'),
    })
  })

  test('stop ends connections that are still open', async () => {
    const running = server()
    const { port } = await running.start()
    const socket = connect(port, '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    const closed = new Promise((resolve) => socket.once('close', resolve))
    await running.stop()
    await closed
  })
})

describe('clients that misbehave', () => {
  /** Sends a text and gives all that comes back until the server hangs up. */
  async function say(text: string, limits: PrivateServerOptions['limits'] = {}): Promise<string> {
    const { port } = await server({ limits }).start()
    const socket = connect(port, '127.0.0.1')
    let reply = ''
    socket.on('data', (chunk) => {
      reply += chunk
    })
    socket.on('error', () => undefined)
    socket.write(text)
    await new Promise((resolve) => socket.once('close', resolve))
    return reply
  }

  test('one that never ends its headers is cut off', async () => {
    expect(await say('GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ', { headersMs: 100 })).toMatch(/^HTTP\/1\.1 408 /)
  })

  test('one that says nothing is cut off', async () => {
    expect(await say('', { idleMs: 50, headersMs: 100 })).toMatch(/^$|^HTTP\/1\.1 408 /)
  })

  test('one that does not speak HTTP gets a problem', async () => {
    const reply = await say('EHLO localhost\r\n\r\n')
    expect(reply).toMatch(/^HTTP\/1\.1 400 Bad request\r\n/)
    expect(JSON.parse(reply.split('\r\n\r\n')[1] ?? '')).toEqual({ status: 400, title: 'Bad request' })
  })

  test('one that sends headers without end gets a problem', async () => {
    const reply = await say(`GET / HTTP/1.1\r\nHost: localhost\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`)
    expect(reply).toMatch(/^HTTP\/1\.1 431 /)
  })
})

describe('size', () => {
  test('the page of ten thousand stacks stays small and says where the rest is; the state has them all', async () => {
    const state = largeState(10_000)
    const { app } = server({ state: () => state })
    const page = await app.inject('/')
    expect(page.body.length).toBeLessThan(400_000)
    expect(page.body).toContain('and 9500 more')
    expect((await app.inject('/api/state')).json().plan.backends).toHaveLength(10_000)
  })
})
