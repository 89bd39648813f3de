import { createServer } from 'node:http'
import { Writable } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createFakeClock } from '../../support/clock.js'
import { BROWSER, call, echo, lineTo, type PortOptions, seen, startApp, startPort } from '../../support/public-port.js'
import { until } from '../../support/wait.js'

const asleep = async (settings: PortOptions['settings'] = {}, more: PortOptions = {}) =>
  startPort(
    { shop: { port: await startApp(echo) }, blog: { port: await startApp(echo) } },
    { ...more, settings: { timeout: 60_000, ...settings } },
  )

describe('many requests for one sleeping stack', () => {
  test('a thousand at once cause one start, and all are answered', async () => {
    const to = await asleep()
    const waiting = Array.from({ length: 1000 }, (_, index) => call({ to, host: 'shop.test', path: `/${index}` }))
    await until('all are held', () => to.server.held() === 1000, 60_000)
    to.wakeUp('shop')
    const replies = await Promise.all(waiting)
    expect(replies.map(({ status, body }) => `${status} ${JSON.parse(body).url}`)).toEqual(
      replies.map((_, index) => `200 /${index}`),
    )
    expect([to.starts, to.wakes, to.server.held(), to.server.sessions.ofGroup('shop')]).toEqual([
      ['shop'],
      ['shop'],
      0,
      0,
    ])
    expect(to.listeners()).toBe(0)
  })

  test('ten thousand clients against a cap of one thousand: the others are told at once to come back', async () => {
    const to = await asleep({ maxHeldPerGroup: 1000 })
    const statuses = new Map<number | string, number>()
    const count = (what: number | string) => statuses.set(what, (statuses.get(what) ?? 0) + 1)
    // A tenth at a time: connections that are refused need no more to be open than those that are held.
    const held = Array.from({ length: 1000 }, () => call({ to, host: 'shop.test' }))
    await until('as many as may are held', () => to.server.held() === 1000, 60_000)
    for (let batch = 0; batch < 9; batch++) {
      const refused = await Promise.all(Array.from({ length: 1000 }, () => call({ to, host: 'shop.test' })))
      for (const { status, headers } of refused) count(`${status} ${headers['retry-after']}`)
      expect(to.server.held()).toBe(1000)
    }
    to.wakeUp('shop')
    for (const { status } of await Promise.all(held)) count(status)
    expect(Object.fromEntries(statuses)).toEqual({ '503 5': 9000, 200: 1000 })
    expect(to.starts).toEqual(['shop'])
  })
})

describe('places', () => {
  test('are counted for a group, and for all', async () => {
    const to = await asleep({ maxHeldPerGroup: 2, maxHeld: 3 })
    const waiting = ['shop.test', 'shop.test'].map((host) => call({ to, host }))
    await until('two are held', () => to.server.held() === 2)
    expect((await call({ to, host: 'shop.test' })).status).toBe(503)
    waiting.push(call({ to, host: 'blog.test' }))
    await until('three are held', () => to.server.held() === 3)
    const refused = await call({ to, host: 'blog.test', method: 'POST', body: 'x' })
    expect([refused.status, refused.headers['retry-after'], JSON.parse(refused.body).detail]).toEqual([
      503,
      '5',
      'Too many requests are waiting already.',
    ])
    to.wakeUp('shop')
    to.wakeUp('blog')
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200])
  })

  test('that are all taken leave people the waiting page, and the start goes on', async () => {
    const to = await asleep({ maxHeld: 1, grace: 10_000 })
    const waiting = call({ to, host: 'blog.test' })
    await until('one is held', () => to.server.held() === 1)
    const page = await call({ to, host: 'shop.test', headers: BROWSER })
    expect([page.status, page.headers['refresh'], to.starts]).toEqual([503, '3', ['blog', 'shop']])
    to.wakeUp('blog')
    await waiting
  })

  test.each([
    ['GET', 'GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n'],
    ['POST', 'POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\n\r\nabc'],
    ['POST of 40 kB', `POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 40000\r\n\r\n${'x'.repeat(40_000)}`],
    ['half a POST', 'POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 30\r\n\r\nabc'],
    ['WebSocket', 'GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    [
      'WebSocket that talks early',
      'GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello',
    ],
  ])('are free again at once when the client of a %s hangs up', async (_, text) => {
    for (const how of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const to = await asleep({ maxHeld: 1 })
      const line = lineTo(to.port)
      line.say(text)
      await until('it is held', () => to.server.held() === 1)
      line.socket[how]()
      await until('nobody is', () => to.server.held() === 0)
      expect(to.starts).toEqual(['shop'])
    }
  })

  test('are free again when a proxy resets a connection whose body nobody reads', async () => {
    const to = await asleep({ maxHeld: 1 })
    const line = lineTo(to.port)
    line.say('POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 104857600\r\n\r\n')
    while (line.socket.write(Buffer.alloc(1 << 20)));
    await until('it is held', () => to.server.held() === 1)
    line.socket.resetAndDestroy()
    await until('nobody is', () => to.server.held() === 0)
  })

  test('of pages that follow a start are counted too', async () => {
    const to = await asleep({ maxHeldPerGroup: 1 })
    void to.waker.wake('shop')
    const path = '/.hostler/wake-events'
    const line = lineTo(to.port)
    line.say(`GET ${path} HTTP/1.1\r\nHost: shop.test\r\n\r\n`)
    await line.hears(/event: progress/)
    expect((await call({ to, host: 'shop.test', path })).status).toBe(503)
    line.socket.destroy()
    await until('nobody follows', () => to.followers('shop') === 0)
    to.wakeUp('shop')
    expect((await call({ to, host: 'shop.test', path })).status).toBe(200)
  })
})

describe('time', () => {
  test('is up for a request that has been held long enough', async () => {
    const clock = createFakeClock()
    const to = await asleep({ timeout: 120_000 }, { clock })
    const waiting = call({ to, host: 'shop.test' })
    await until('it is held', () => to.server.held() === 1)
    await clock.pass(119_999)
    expect(to.server.held()).toBe(1)
    await clock.pass(1)
    const reply = await waiting
    expect([reply.status, reply.headers['retry-after'], to.server.held(), clock.sleepers()]).toEqual([503, '5', 0, 0])
  })

  test('is up for headers that do not end, and not for a body or an answer', async () => {
    const to = await asleep({}, { limits: { headersMs: 200, drainMs: 0 } })
    const slow = lineTo(to.port)
    slow.say('GET / HTTP/1.1\r\nHost: shop.test\r\nX: ')
    const body = lineTo(to.port)
    body.say('POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\n\r\na')
    expect(await slow.ends()).toMatch(/^HTTP\/1\.1 408 /)
    to.wakeUp('shop')
    await until('it is under way', () => to.server.sessions.ofGroup('shop') === 1)
    const second = lineTo(to.port)
    second.say('GET / HTTP/1.1\r\nHost: shop.test\r\nX: ')
    expect(await second.ends()).toMatch(/^HTTP\/1\.1 408 /)
    body.say('bc')
    await body.hears(/"bytes":3/)
  })

  test('does not matter to an event stream that says nothing', async () => {
    const port = await startApp((asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      asked.socket.on('data', () => undefined)
      response.on('close', () => response.end())
      setTimeout(() => response.write('data: late\n\n'), 700)
    })
    const to = await startPort(
      { shop: { port, state: 'running' } },
      { limits: { headersMs: 100, idleMs: 100, drainMs: 0 } },
    )
    const line = lineTo(to.port)
    line.say('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n')
    await line.hears(/text\/event-stream[\s\S]*data: late/)
  })
})

describe('size', () => {
  test('headers larger than any proxy passes on are refused', async () => {
    const to = await asleep()
    const line = lineTo(to.port)
    line.say(`GET / HTTP/1.1\r\nHost: shop.test\r\nCookie: ${'x'.repeat(70_000)}\r\n\r\n`)
    expect(await line.ends()).toMatch(/^HTTP\/1\.1 431 /)
    expect(to.wakes).toEqual([])
  })

  test('headers that are large and many arrive, every one', async () => {
    const app = createServer({ maxHeaderSize: 65_536 })
    app.maxHeadersCount = 0
    const to = await startPort({ shop: { port: await startApp(echo, app), state: 'running' } })
    const headers = Object.fromEntries(Array.from({ length: 1500 }, (_, index) => [`x-${index}`, 'v'.repeat(20)]))
    const reply = await call({ to, host: 'shop.test', headers })
    expect(seen(reply).headers).toMatchObject(headers)
  })
})

describe('stopping', () => {
  test('sends those who wait away at once, and lets what is under way end', async () => {
    let finish: () => void = () => undefined
    const port = await startApp((_, response) => {
      response.write('one ')
      finish = () => response.end('two')
    })
    const to = await startPort({ shop: { port, state: 'running' }, blog: { port } }, { limits: { drainMs: 20_000 } })
    const under = call({ to, host: 'shop.test' })
    await until('one is under way', () => to.server.sessions.ofGroup('shop') === 1)
    const waiting = call({ to, host: 'blog.test', method: 'POST', body: 'x' })
    await until('one is held', () => to.server.held() === 1)
    const stopped = to.server.stop()
    expect([(await waiting).status, (await waiting).headers['retry-after']]).toEqual([503, '3'])
    finish()
    expect((await under).body).toBe('one two')
    await stopped
    await expect(call({ to, host: 'shop.test' })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('ends what does not end by itself', async () => {
    const port = await startApp((_, response) => response.write('for ever'))
    const to = await startPort({ shop: { port, state: 'running' } }, { limits: { drainMs: 50 } })
    const line = lineTo(to.port)
    line.say('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n')
    await line.hears(/for ever/)
    await to.server.stop()
    await line.ends()
  })
})

test('an address in use is an error that names address and remedy', async () => {
  const to = await asleep()
  await expect(startPort({}, { listen: { host: '127.0.0.1', port: to.port } })).rejects.toMatchObject({
    code: 'LISTEN',
    message: `cannot listen on 127.0.0.1:${to.port}: another process listens there; stop it, or choose another address with public.listen (HOSTLER_PUBLIC_LISTEN)`,
  })
})

test('a body that nobody wanted is read to its end, and the next request is answered', async () => {
  const to = await startPort({ shop: { port: await startApp(echo) } })
  const line = lineTo(to.port)
  line.say('POST /health HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 300000\r\n\r\n')
  await line.hears(/^HTTP\/1\.1 503 /)
  line.say(`${'GET /x HTTP/1.1\r\n'.repeat(20_000).slice(0, 300_000)}GET /next HTTP/1.1\r\nHost: nowhere.test\r\n\r\n`)
  await line.hears(/HTTP\/1\.1 404 /)
  expect(line.heard().match(/HTTP\/1\.1/g)).toHaveLength(2)
})

test('who could not be held is told of once in a while', async () => {
  const lines: string[] = []
  const log = pino({ level: 'info' }, new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }))
  const to = await asleep({ maxHeld: 1 }, { log })
  const waiting = call({ to, host: 'shop.test' })
  await until('one is held', () => to.server.held() === 1)
  for (let round = 0; round < 5; round++) expect((await call({ to, host: 'shop.test' })).status).toBe(503)
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { group: 'shop', held: 1, msg: 'no more requests can be held' },
  ])
  to.wakeUp('shop')
  await waiting
})

test('connections are kept for the next request', async () => {
  const to = await startPort({ shop: { port: await startApp(echo) } })
  const line = lineTo(to.port)
  const ask = (path: string) => line.say(`GET ${path} HTTP/1.1\r\nHost: shop.test\r\n\r\n`)
  ask('/health')
  await line.hears(/503 [\s\S]*do not wake it.*\n$/)
  ask('/one')
  await until('it is held', () => to.server.held() === 1)
  to.wakeUp('shop')
  await line.hears(/"url":"\/one"/)
  ask('/two')
  await line.hears(/"url":"\/two"/)
})
