import { Writable } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { pino } from 'pino'
import { freePort } from '../../support/ports.js'
import { BROWSER, call, echo, lineTo, seen, startApp, startPort } from '../../support/public-port.js'
import { until } from '../../support/wait.js'

/** An app that keeps what it is asked. */
async function watched(state: 'running' | 'stopped' = 'running') {
  const asked: string[] = []
  const port = await startApp((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    void echo(request, response)
  })
  const to = await startPort({ shop: { port, state } })
  return { asked, to, port }
}

describe('a request that could mean one thing to us and another to the app', () => {
  const post = (headers: string, body = '') => `POST /a HTTP/1.1\r\nHost: shop.test\r\n${headers}\r\n${body}`
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n'

  test.each([
    ['two framings', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${smuggled}`)],
    ['two lengths', post('Content-Length: 0\r\nContent-Length: 51\r\n', smuggled)],
    ['a list of lengths', post('Content-Length: 0, 51\r\n', smuggled)],
    ['a signed length', post('Content-Length: +3\r\n', 'abc')],
    ['a negative length', post('Content-Length: -1\r\n', smuggled)],
    ['a length in hexadecimal', post('Content-Length: 0x3\r\n', 'abc')],
    ['a length too large for any number', post(`Content-Length: ${'9'.repeat(40)}\r\n`, 'abc')],
    ['a space before the colon', post('Content-Length : 3\r\n', 'abc')],
    ['a framing behind a vertical tab', post('Transfer-Encoding:\x0bchunked\r\n', '0\r\n\r\n')],
    ['a framing that is unknown', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
    ['a framing that comes last but one', post('Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n')],
    ['two framings of one kind', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    ['a framing on two lines', post('Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n')],
    ['bytes of another coding', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')],
    ['chunks in HTTP/1.0', post('Transfer-Encoding: chunked\r\n', '0\r\n\r\n').replace('1.1', '1.0')],
    ['a header on two lines', post('X-A: b\r\n c\r\n')],
    ['a line that ends in a line feed only', post('X-A: b\nX-B: c\r\n')],
    ['a carriage return alone', post('X-A: b\rX-B: c\r\n')],
    ['a zero byte', post('X-A: a\0b\r\n')],
    ['a control character in a cookie', post('Cookie: instance=a\x01b\r\n')],
    ['no name', post(': b\r\n')],
    ['two hosts', post('Host: other.test\r\n')],
    ['no host', 'GET / HTTP/1.1\r\n\r\n'],
    ['another host in its address', 'GET http://other.test/a HTTP/1.1\r\nHost: shop.test\r\n\r\n'],
    ['another user in its address', 'GET http://shop.test@other.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n'],
    ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: shop.test\r\n\r\n'],
    ['an asterisk for an address', 'GET * HTTP/1.1\r\nHost: shop.test\r\n\r\n'],
    ['no slash', 'GET a HTTP/1.1\r\nHost: shop.test\r\n\r\n'],
    ['a byte beyond ASCII in its address', 'GET /\xe9 HTTP/1.1\r\nHost: shop.test\r\n\r\n'],
    ['a version to come', 'GET / HTTP/2.0\r\nHost: shop.test\r\n\r\n'],
    ['the beginning of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an unknown method', 'HACK / HTTP/1.1\r\nHost: shop.test\r\n\r\n'],
    ['a tunnel', 'CONNECT shop.test:80 HTTP/1.1\r\nHost: shop.test\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ])('is refused, the connection with it: %s', async (_, text) => {
    const { asked, to } = await watched()
    const line = lineTo(to.port)
    line.say(text)
    expect(await line.ends()).toMatch(/^HTTP\/1\.1 (?:400|405|501|505) [\s\S]*\r\n\r\n\{"status":\d+,"title":"[^"]+"/)
    expect(asked).toEqual([])
  })

  test.each([
    ['a chunk size in another notation', '0x1\r\na\r\n0\r\n\r\n'],
    ['a chunk that ends in a line feed only', '1\na\n0\n\n'],
    ['a chunk that is longer than it says', '1\r\nabc\r\n0\r\n\r\n'],
    ['a chunk with no size', '\r\na\r\n0\r\n\r\n'],
    ['a chunk larger than any', `${'f'.repeat(20)}\r\na`],
    ['an extension with a line break', '1;a="\r\n"\r\na\r\n0\r\n\r\n'],
  ])('is broken off in its body: %s', async (_, body) => {
    const { to } = await watched()
    const line = lineTo(to.port)
    line.say(post('Transfer-Encoding: chunked\r\n', body))
    expect(await line.ends()).not.toMatch(/^HTTP\/1\.1 200/)
    await until('nothing is under way', () => to.server.sessions.ofGroup('shop') === 0)
  })

  test('is refused while it is held, and frees its place', async () => {
    const { asked, to } = await watched('stopped')
    const line = lineTo(to.port)
    line.say(post('Transfer-Encoding: chunked\r\n'))
    await until('it is held', () => to.server.held() === 1)
    line.say('zz\r\n')
    expect(await line.ends()).toMatch(/^HTTP\/1\.1 400 /)
    await until('nobody is held', () => to.server.held() === 0)
    expect(asked).toEqual([])
  })

  test('and what follows a request that we refuse is not read as another one', async () => {
    const { asked, to } = await watched()
    const line = lineTo(to.port)
    line.say(`${post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')}${smuggled}`)
    await line.ends()
    expect(asked).toEqual([])
  })
})

test('two requests on one connection are two to the app, whatever lies in the first', async () => {
  const { asked, to } = await watched()
  const line = lineTo(to.port)
  const inner = 'GET /inner HTTP/1.1\r\nHost: shop.test\r\n\r\n'
  line.say(`POST /outer HTTP/1.1\r\nHost: shop.test\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`)
  line.say('GET /next HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n')
  await line.ends()
  expect(asked.sort()).toEqual(['GET /next', 'POST /outer'])
})

test('an address with its own host is one of this host', async () => {
  const { to } = await watched()
  const line = lineTo(to.port)
  line.say('GET HTTP://Shop.test?a=b HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n')
  expect(seen({ body: /\{.*\}/.exec(await line.ends())?.[0] ?? '' }).url).toBe('/?a=b')
})

test('OPTIONS * is passed on as it is', async () => {
  const { asked, to } = await watched()
  expect((await call({ to, host: 'shop.test', method: 'OPTIONS', path: '*' })).status).toBe(200)
  expect(asked).toEqual(['OPTIONS *'])
})

test('a container whose address is ours gets its request back once, and no more', async () => {
  const port = await freePort()
  const to = await startPort({ loop: { port, state: 'running' } }, { listen: { host: '127.0.0.1', port } })
  const reply = await call({ to, host: 'loop.test', headers: { host: 'loop.test' } })
  expect([reply.status, JSON.parse(reply.body).title]).toEqual([508, 'Loop detected'])
})

describe('hosts that nobody has', () => {
  test.each([
    ['..', 404],
    ['a..test', 404],
    ['*.test', 404],
    ['[::1]', 404],
    ['127.0.0.1', 404],
    ['shop.test:99999', 200],
    ['shop.test.', 200],
    ["'shop.test'", 404],
    ['shop.test/../x', 404],
    ['shop.test%00', 404],
    ['<script>alert(1)</script>', 404],
    [`${'a'.repeat(60_000)}.test`, 404],
  ])('%# is answered as it should be', async (host, status) => {
    const { to } = await watched()
    const line = lineTo(to.port)
    line.say(`GET / HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n`)
    const text = await line.ends()
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(text).not.toContain('<script>alert')
    expect(text.length).toBeLessThan(12_000)
  })
})

describe('the log', () => {
  test('never holds a cookie, a query, a body, or who is behind a token', async () => {
    const lines: string[] = []
    const log = pino(
      { level: 'trace' },
      new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }),
    )
    const dead = await startApp((request) => request.socket.destroy())
    const to = await startPort(
      { shop: { port: await startApp(echo) }, dead: { port: dead, state: 'running' } },
      { log },
    )
    const secret = {
      path: '/public?password=SECRET',
      headers: { cookie: 'session=SECRET', authorization: 'Bearer SECRET', referer: 'http://x/?SECRET' },
      method: 'POST',
      body: 'SECRET',
    }
    const waiting = call({ to, host: 'shop.test', ...secret })
    await until('it is held', () => to.server.held() === 1)
    to.wakeUp('shop')
    await waiting
    await call({ to, host: 'dead.test', ...secret })
    await call({ to, host: 'nowhere.test', ...secret, headers: { ...secret.headers, ...BROWSER } })
    await until('all is told', () => lines.length >= 4)
    expect(lines.join('')).not.toContain('SECRET')
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ path: '/public', host: 'shop.test', outcome: 'app', status: 200, group: 'shop' }),
        expect.objectContaining({ backend: 'dead', msg: 'an app that is thought ready does not answer' }),
        expect.objectContaining({ host: 'nowhere.test', outcome: 'no-route', status: 404 }),
      ]),
    )
  })

  test('tells of an app that does not answer once in a while, however often it is asked', async () => {
    const lines: string[] = []
    const log = pino({ level: 'info' }, new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }))
    const dead = await startApp((request) => request.socket.destroy())
    const to = await startPort({ dead: { port: dead, state: 'running' } }, { log })
    for (let round = 0; round < 20; round++) await call({ to, host: 'dead.test', method: 'POST' })
    expect(lines).toHaveLength(1)
  })

  test('holds no line break or escape of somebody else', async () => {
    const lines: string[] = []
    const log = pino(
      { level: 'debug' },
      new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }),
    )
    const to = await startPort({}, { log })
    const line = lineTo(to.port)
    line.say('GET /\x85\xad HTTP/1.1\r\nHost: x\r\n\r\n')
    await line.ends()
    const other = lineTo(to.port)
    other.say('GET /a HTTP/1.1\r\nHost: \xc2\x85\xad\xe9x\r\nConnection: close\r\n\r\n')
    await other.ends()
    await until('it is told', () => lines.length > 0)
    expect(lines.join('')).not.toMatch(/[\u0080-\u009f\u00ad]/)
  })
})

describe('the events of a start', () => {
  test('are of the group that the request itself would wake, whatever it asks for', async () => {
    const port = await startApp(echo)
    const to = await startPort({
      one: { port, labels: { host: 'apps.test', path: '/one' } },
      two: { port, labels: { host: 'apps.test', path: '/two' } },
    })
    void to.waker.wake('two')
    to.step('two', 'secret-service', 'starting')
    const line = lineTo(to.port)
    line.say('GET /one/.hostler/wake-events?group=two HTTP/1.1\r\nHost: apps.test\r\nX-Group: two\r\n\r\n')
    await line.hears(/event: progress\ndata: (.*)\n/)
    expect(line.heard()).toContain('"phase":"asleep"')
    expect(line.heard()).not.toContain('secret-service')
    expect([to.followers('one'), to.followers('two'), to.starts]).toEqual([1, 0, ['two']])
    expect((await call({ to, host: 'apps.test', path: '/.hostler/wake-events' })).status).toBe(404)
    to.wakeUp('two')
  })

  test("are never the app's, also when it is awake", async () => {
    const { asked, to } = await watched()
    const reply = await call({ to, host: 'shop.test', path: '/.hostler/wake-events' })
    expect([reply.status, reply.headers['content-type']]).toEqual([200, 'text/event-stream'])
    expect(reply.body).toMatch(
      /^retry: 1000\n\nevent: progress\ndata: \{"phase":"awake".*\}\n\nevent: over\ndata: \{\}\n\n$/,
    )
    expect(asked).toEqual([])
  })

  test('may be read by pages of the same host only', async () => {
    const { to } = await watched()
    const reply = await call({
      to,
      host: 'shop.test',
      path: '/.hostler/wake-events',
      headers: { origin: 'http://evil.test' },
    })
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  })
})

test('whatever bytes come, the port goes on', async () => {
  const { to } = await watched()
  const piece = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom(
      'GET / HTTP/1.1\r\n',
      'Host: shop.test\r\n',
      '\r\n',
      'Content-Length: 5\r\n',
      'Transfer-Encoding: chunked\r\n',
      '0\r\n\r\n',
      'Connection: Upgrade\r\nUpgrade: h2c\r\n',
      'Upgrade: websocket\r\n',
      'Expect: 100-continue\r\n',
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const line = lineTo(to.port)
      for (const each of pieces) line.say(each)
      line.socket.end()
      await line.ends()
      line.socket.destroy()
    }),
    { numRuns: 100 },
  )
  expect((await call({ to, host: 'shop.test' })).status).toBe(200)
  await until('nothing is left', () => to.server.sessions.ofGroup('shop') === 0 && to.server.held() === 0)
})
