import { createServer } from 'node:http'
import { describe, expect, test } from '@jest/globals'
import { BROWSER, call, echo, lineTo, seen, startApp, startPort } from '../support/public-port.js'
import { until } from '../support/wait.js'

const asleep = async () => startPort({ shop: { port: await startApp(echo) } })
const awake = async () => startPort({ shop: { port: await startApp(echo), state: 'running' } })

describe('a request for a stack that is awake', () => {
  test('is answered by its app at once, and starts nothing', async () => {
    const to = await awake()
    const reply = await call({ to, host: 'shop.test', path: '/a?b=c' })
    expect([reply.status, seen(reply).method, seen(reply).url]).toEqual([200, 'GET', '/a?b=c'])
    expect([to.wakes, to.starts]).toEqual([[], []])
  })

  test('is spread over its servers', async () => {
    const names = ['one', 'two', 'three']
    const ports = await Promise.all(names.map((name) => startApp((_, response) => response.end(name))))
    const labels = { stack: 'shop', service: 'web', host: 'shop.test' }
    const to = await startPort(
      Object.fromEntries(
        names.map((name, index) => [name, { port: ports[index]!, state: 'running' as const, labels }]),
      ),
    )
    const bodies = []
    for (let round = 0; round < 6; round++) bodies.push((await call({ to, host: 'shop.test' })).body)
    expect(bodies.sort()).toEqual(['one', 'one', 'three', 'three', 'two', 'two'])
  })
})

describe("a browser's page load", () => {
  test('gets the app itself when that is ready within the grace', async () => {
    const to = await startPort({ shop: { port: await startApp(echo) } }, { settings: { grace: 10_000 } })
    to.wakesAfter = 20
    const reply = await call({ to, host: 'shop.test', path: '/page', headers: BROWSER })
    expect([reply.status, seen(reply).url]).toEqual([200, '/page'])
  })

  test('gets the waiting page after the grace', async () => {
    const to = await asleep()
    const reply = await call({ to, host: 'shop.test', headers: BROWSER })
    expect(reply.status).toBe(503)
    expect(reply.headers).toMatchObject({
      'retry-after': '3',
      refresh: '3',
      'cache-control': 'no-store',
      'content-type': 'text/html; charset=utf-8',
    })
    expect(reply.headers['content-security-policy']).toMatch(/^default-src 'none'; /)
    expect(to.starts).toEqual(['shop'])
  })

  test('without TLS is known by what it accepts', async () => {
    const to = await asleep()
    const reply = await call({ to, host: 'shop.test', headers: { accept: BROWSER.accept } })
    expect(reply.headers['content-type']).toMatch(/^text\/html/)
  })
})

describe('anything else', () => {
  test.each([
    ['GET', {}],
    ['GET', { accept: '*/*' }],
    ['GET', { accept: 'application/json' }],
    ['GET', { 'sec-fetch-mode': 'cors', accept: 'text/html' }],
    ['GET', { 'sec-fetch-mode': 'no-cors', accept: 'image/avif,*/*' }],
    ['GET', { 'x-requested-with': 'XMLHttpRequest', accept: 'text/html' }],
    ['POST', { ...BROWSER }],
    ['HEAD', { ...BROWSER }],
    ['OPTIONS', {}],
    ['DELETE', {}],
    ['PROPFIND', {}],
    ['REPORT', {}],
  ] as const)('%s with %j is held until the app is ready', async (method, headers) => {
    const to = await asleep()
    const waiting = call({ to, host: 'shop.test', method, headers })
    await until('it is held', () => to.server.held() === 1)
    to.wakeUp('shop')
    const reply = await waiting
    expect([reply.status, to.starts]).toEqual([200, ['shop']])
    if (method !== 'HEAD') expect(seen(reply).method).toBe(method)
  })
})

describe('what starts nothing', () => {
  test.each([
    ['/health', {}],
    ['/probes/live', {}],
    ['/', { 'user-agent': 'Super-Uptime/1.0' }],
  ])('%s with %j while it sleeps is a 503', async (path, headers) => {
    const to = await asleep()
    const reply = await call({ to, host: 'shop.test', path, headers })
    expect([reply.status, reply.headers['retry-after'], to.wakes]).toEqual([503, '60', []])
  })

  test('the same while it is awake is answered by the app', async () => {
    const reply = await call({ to: await awake(), host: 'shop.test', path: '/health' })
    expect(reply.status).toBe(200)
  })

  test.each(['nowhere.test', 'x.shop.test', 'shop.test.evil', ''])('an unknown host, %j, is a 404', async (host) => {
    const to = await asleep()
    const reply = await call({ to, host })
    expect(reply.status).toBe(404)
    expect(JSON.parse(reply.body)).toMatchObject({ status: 404, title: 'Not found' })
    expect(to.wakes).toEqual([])
  })

  test('an unknown host is a page for people', async () => {
    const reply = await call({ to: await asleep(), host: 'nowhere.test', headers: BROWSER })
    expect([reply.status, reply.headers['content-type']]).toEqual([404, 'text/html; charset=utf-8'])
  })
})

describe('a start that fails', () => {
  test('is told to a program as a problem with the reason', async () => {
    const to = await asleep()
    const waiting = call({ to, host: 'shop.test' })
    await until('it is held', () => to.server.held() === 1)
    to.fail('shop', 'its container ended with code 1')
    const reply = await waiting
    expect([reply.status, reply.headers['retry-after']]).toEqual([502, '30'])
    expect(JSON.parse(reply.body).detail).toMatch(/its container ended with code 1/)
  })

  test('is told to people on a page, at once while none is tried', async () => {
    const to = await asleep()
    to.waker.wake('shop').catch(() => undefined)
    to.fail('shop', 'it has <b>no</b> memory')
    const reply = await call({ to, host: 'shop.test', headers: BROWSER })
    expect(reply.status).toBe(502)
    expect(reply.body).toContain('it has &lt;b&gt;no&lt;/b&gt; memory')
    expect(reply.headers).not.toHaveProperty('refresh')
  })
})

describe('a stack that falls asleep', () => {
  test('is kept awake by a request', async () => {
    const to = await awake()
    to.fallAsleep('shop')
    const reply = await call({ to, host: 'shop.test' })
    expect([reply.status, to.wakes, to.starts]).toEqual([200, ['shop'], []])
  })

  test('and has just stopped, unnoticed, is woken for the request that found out', async () => {
    const app = createServer()
    const port = await startApp(echo, app)
    const to = await startPort({ shop: { port, state: 'running' } })
    await new Promise((resolve) => app.close(resolve))
    const waiting = call({ to, host: 'shop.test', method: 'POST', body: 'abc' })
    await until('it has knocked', () => to.wakes.length > 0)
    to.stop('shop')
    await until('it is held', () => to.server.held() === 1)
    await new Promise<void>((resolve) => app.listen(port, '127.0.0.1', resolve))
    to.wakeUp('shop')
    const reply = await waiting
    expect([reply.status, seen(reply).bytes, to.starts]).toEqual([200, 3, ['shop']])
  })
})

describe('a WebSocket handshake', () => {
  test('is held, and becomes a tunnel', async () => {
    const app = createServer()
    app.on('upgrade', (request, socket, head) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\nhi')
      socket.write(head)
      socket.on('data', (chunk) => socket.write(`<${chunk}>`))
      socket.on('end', () => socket.end(String(request.url)))
    })
    const to = await startPort({ shop: { port: await startApp(echo, app) } })
    const line = lineTo(to.port)
    line.say('GET /ws?a HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await until('it is held', () => to.server.held() === 1)
    to.wakeUp('shop')
    await line.hears(
      /^HTTP\/1\.1 101 Switching Protocols\r\nX-A: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi/,
    )
    expect(to.server.sessions.ofGroup('shop')).toBe(1)
    line.say('one')
    await line.hears(/<one>$/)
    line.say('two')
    await line.hears(/<two>$/)
    line.socket.end()
    expect(await line.ends()).toMatch(/\/ws\?a$/)
    await until('the session has ended', () => to.server.sessions.ofGroup('shop') === 0)
  })
})
