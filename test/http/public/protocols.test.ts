import { createServer } from 'node:http'
import { createServer as createHttp2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer as createTcpServer } from 'node:net'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { makePem, type Pem } from '../../support/pem.js'
import { afterThisTest, call, echo, lineTo, listen, seen, startApp, startPort } from '../../support/public-port.js'
import { describeWith } from '../../support/servers.js'
import { until } from '../../support/wait.js'

describe('an app that speaks HTTP/2 without TLS', () => {
  type Handler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

  async function startH2c(handler: Handler): Promise<number> {
    const server = createHttp2Server()
    const sessions = new Set<{ destroy(): void }>()
    server.on('session', (session) => sessions.add(session))
    server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined)
      handler(stream, headers)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    afterThisTest(async () => {
      for (const session of sessions) session.destroy()
      await new Promise((resolve) => server.close(resolve))
    })
    return (server.address() as { port: number }).port
  }

  const inFront = async (handler: Handler, state: 'running' | 'stopped' = 'running') =>
    startPort({ shop: { port: await startH2c(handler), state, labels: { scheme: 'h2c' } } })

  test('is held for, asked in HTTP/2 from the first byte, and answers with its trailers: gRPC', async () => {
    const to = await inFront(async (stream, headers) => {
      let body = ''
      for await (const chunk of stream) body += chunk
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'x-te': String(headers['te']) },
        { waitForTrailers: true },
      )
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }))
      stream.end(`${headers[':method']} ${headers[':path']} ${headers[':authority']} ${headers['x-one']} ${body}`)
    }, 'stopped')
    const line = lineTo(to.port)
    line.say('POST /pkg.Service/Call?a HTTP/1.1\r\nHost: shop.test\r\nTE: trailers\r\nX-One: 1\r\nX-One: 2\r\n')
    line.say('Transfer-Encoding: chunked\r\nContent-Type: application/grpc\r\n\r\n3\r\nabc\r\n0\r\n\r\n')
    await until('it is held', () => to.server.held() === 1)
    to.wakeUp('shop')
    await line.hears(/\r\n0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n$/)
    expect(line.heard()).toMatch(/^HTTP\/1\.1 200 \r\ncontent-type: application\/grpc\r\nx-te: trailers\r\n/)
    expect(line.heard()).toContain('POST /pkg.Service/Call?a shop.test 1, 2 abc')
  })

  test('gets the trailers of a request', async () => {
    const to = await inFront((stream) => {
      stream.on('trailers', (trailers) => {
        stream.respond({ ':status': 200 })
        stream.end(JSON.stringify(trailers))
      })
      stream.resume()
    })
    const line = lineTo(to.port)
    line.say('POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n')
    line.say('1\r\na\r\n0\r\nX-Sum: 7\r\nHost: other\r\n\r\n')
    await line.hears(/\{"x-sum":"7"\}/)
  })

  test('streams both ways at once', async () => {
    const to = await inFront((stream) => {
      stream.respond({ ':status': 200 })
      stream.on('data', (chunk) => stream.write(`<${chunk}>`))
      stream.on('end', () => stream.end('over'))
    })
    const line = lineTo(to.port)
    line.say('POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (const word of ['one', 'two', 'six']) {
      line.say(`3\r\n${word}\r\n`)
      await line.hears(new RegExp(`<${word}>`))
    }
    line.say('0\r\n\r\n')
    await line.hears(/over\r\n0\r\n\r\n$/)
  })

  test.each(['GET', 'HEAD', 'DELETE', 'PROPFIND'])('is asked with %s', async (method) => {
    const to = await inFront((stream, headers) => {
      stream.respond({ ':status': 200, 'x-method': headers[':method'] })
      stream.end()
    })
    const reply = await call({ to, host: 'shop.test', method })
    expect([reply.status, reply.headers['x-method']]).toEqual([200, method])
  })

  test('that resets the stream is a 502 before its answer, and breaks off in the middle of it', async () => {
    const before = await inFront((stream) => stream.close(2))
    expect((await call({ to: before, host: 'shop.test', method: 'POST', body: 'x' })).status).toBe(502)
    const within = await inFront((stream) => {
      stream.respond({ ':status': 200 })
      stream.write('part', () => stream.destroy(new Error('broken')))
    })
    await expect(call({ to: within, host: 'shop.test' })).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  test('knows at once when the client is gone', async () => {
    let isOver = false
    const to = await inFront((stream) => {
      stream.respond({ ':status': 200 })
      stream.write('event')
      stream.on('close', () => {
        isOver = true
      })
    })
    const line = lineTo(to.port)
    line.say('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n')
    await line.hears(/event/)
    line.socket.destroy()
    await until('the app knows', () => isOver)
  })

  test('that is no HTTP/2 after all is a 502', async () => {
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running', labels: { scheme: 'h2c' } } })
    expect((await call({ to, host: 'shop.test', method: 'POST', body: 'x' })).status).toBe(502)
  })

  test('gives nobody a WebSocket', async () => {
    const to = await inFront((stream) => stream.respond({ ':status': 200 }, { endStream: true }))
    const line = lineTo(to.port)
    line.say('GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    expect(await line.ends()).toMatch(/^HTTP\/1\.1 502 /)
  })
})

describeWith(['openssl'], 'an app that speaks TLS', () => {
  let pem: Pem
  beforeAll(async () => {
    pem = await makePem('somebody.else')
  })

  const startTls = () => {
    const server = createHttpsServer({ key: pem.key, cert: pem.certificate })
    server.on('upgrade', (_, socket) =>
      socket.end('HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhi'),
    )
    server.on('request', echo)
    return listen(server)
  }

  test.each([
    ['by its scheme', { scheme: 'https' }],
    ['by the option of its server', { 'send-proxy': 'ssl verify none' }],
  ])('is asked with TLS, known %s, whoever has signed its certificate', async (_, labels) => {
    const to = await startPort({
      shop: { port: await startTls(), state: 'running', labels: labels as Record<string, string> },
    })
    const body = 'x'.repeat(300_000)
    const reply = await call({ to, host: 'shop.test', method: 'POST', body })
    expect(seen(reply)).toMatchObject({ bytes: 300_000, headers: { host: 'shop.test' } })
  })

  test('gives WebSockets too', async () => {
    const to = await startPort({ shop: { port: await startTls(), state: 'running', labels: { scheme: 'https' } } })
    const line = lineTo(to.port)
    line.say('GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    expect(await line.ends()).toMatch(/^HTTP\/1\.1 101 Yes\r\n[\s\S]*\r\n\r\nhi$/)
  })

  test('hears who calls before the handshake', async () => {
    let header = ''
    const inner = await startTls()
    const port = await listen(
      createTcpServer((socket) => {
        socket.on('error', () => undefined)
        socket.once('data', (chunk) => {
          const end = chunk.indexOf('\r\n') + 2
          header = chunk.toString('latin1', 0, end)
          const app = connect(inner, '127.0.0.1')
          app.on('error', () => undefined).write(chunk.subarray(end))
          socket.pipe(app).pipe(socket)
        })
      }),
    )
    const labels = { scheme: 'https', 'proxy-protocol': 'v1' }
    const to = await startPort({ shop: { port, state: 'running', labels } })
    const reply = await call({ to, host: 'shop.test', headers: { 'x-forwarded-for': '192.0.2.7' } })
    expect([reply.status, header]).toEqual([200, `PROXY TCP4 192.0.2.7 127.0.0.1 0 ${to.port}\r\n`])
  })
})

describe('an app that wants to hear who calls', () => {
  /** Answers with what came before the request, in hexadecimal. */
  const startListening = (rest: Buffer) =>
    listen(
      createTcpServer((socket) => {
        let bytes = Buffer.alloc(0)
        socket.on('error', () => undefined)
        socket.on('data', (chunk) => {
          bytes = Buffer.concat([bytes, chunk])
          const at = bytes.indexOf(rest)
          if (at === -1) return
          const body = bytes.subarray(0, at).toString('hex')
          socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
        })
      }),
    )

  const told = async (version: string, forwarded?: string, more: Record<string, string> = {}) => {
    const port = await startListening(Buffer.from('GET / HTTP/1.1\r\n'))
    const to = await startPort({ shop: { port, state: 'running', labels: { 'proxy-protocol': version } } })
    const headers = { ...more, ...(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }) }
    const reply = await call({ to, host: 'shop.test', headers })
    return { bytes: Buffer.from(reply.body, 'hex'), port: to.port }
  }

  test.each([
    ['192.0.2.7', 'TCP4 192.0.2.7 127.0.0.1'],
    ['1.1.1.1, 198.51.100.9', 'TCP4 198.51.100.9 127.0.0.1'],
    ['2001:db8::7', 'TCP6 2001:db8::7 ::ffff:127.0.0.1'],
  ])('in version 1: %s', async (forwarded, expected) => {
    const { bytes, port } = await told('v1', forwarded)
    expect(bytes.toString()).toBe(`PROXY ${expected} 0 ${port}\r\n`)
  })

  test.each([undefined, 'unknown', '<script>'])('in version 1, from us when the proxy says %j', async (forwarded) => {
    const { bytes, port } = await told('v1', forwarded)
    expect(bytes.toString()).toMatch(new RegExp(`^PROXY TCP4 127\\.0\\.0\\.1 127\\.0\\.0\\.1 \\d+ ${port}\r\n$`))
  })

  test('in version 2', async () => {
    const { bytes, port } = await told('v2', '192.0.2.7')
    const ports = Buffer.from([0, 0, port >> 8, port & 255])
    const expected = ['0d0a0d0a000d0a515549540a', '2111000c', 'c0000207', '7f000001', ports.toString('hex')]
    expect(bytes.toString('hex')).toBe(expected.join(''))
  })
})

describe('a path prefix that is cut off', () => {
  test.each([
    ['/api', '/'],
    ['/api/', '/'],
    ['/api/x/y?z=/api', '/x/y?z=/api'],
    ['/api//x', '//x'],
    ['/api?q', '/?q'],
    ['/api/%2e%2e/x', '/%2e%2e/x'],
  ])('%s is %s to the app', async (path, expected) => {
    const labels = { path: '/api', 'strip-path': 'true' }
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running', labels } })
    const { url, headers } = seen(await call({ to, host: 'shop.test', path }))
    expect([url, headers['x-forwarded-prefix']]).toEqual([expected, '/api'])
  })

  test('that is not to be cut stays', async () => {
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running', labels: { path: '/api' } } })
    const { url, headers } = seen(await call({ to, host: 'shop.test', path: '/api/x' }))
    expect([url, headers]).toEqual(['/api/x', expect.not.objectContaining({ 'x-forwarded-prefix': '/api' })])
  })
})

describe('headers of a request', () => {
  const ask = async (headers: Record<string, string | string[]>) => {
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running' } })
    return seen(await call({ to, host: 'Shop.Test:81', headers }))
  }

  test('say who asks when no proxy has', async () => {
    expect((await ask({})).headers).toMatchObject({
      host: 'Shop.Test:81',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'Shop.Test:81',
    })
  })

  test('keep what a proxy has said, and cookies and everything else', async () => {
    const headers = {
      'x-forwarded-for': '192.0.2.1, 198.51.100.2',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.test',
      cookie: 'a=1; b="2"',
      authorization: 'Basic eDp5',
      'user-agent': 'test/1',
    }
    expect((await ask(headers)).headers).toMatchObject(headers)
  })

  test('that concern the connection only stay behind', async () => {
    const { headers } = await ask({
      connection: 'X-Hop, keep-alive',
      'x-hop': '1',
      'keep-alive': 'timeout=5',
      'proxy-connection': 'keep-alive',
      te: 'gzip, trailers;q=0.5',
    })
    expect(headers).not.toHaveProperty('x-hop')
    expect(headers).not.toHaveProperty('keep-alive')
    expect(headers).not.toHaveProperty('proxy-connection')
    expect(headers).toMatchObject({ connection: 'close', te: 'trailers' })
  })

  test('cannot be made to stay behind by naming them so', async () => {
    const named = { 'x-forwarded-for': '192.0.2.1', cookie: 'a=1', authorization: 'x', 'content-length': '0' }
    const { headers } = await ask({ ...named, connection: ['host', ...Object.keys(named)].join(', ') })
    expect(headers).toMatchObject({ ...named, host: 'Shop.Test:81' })
  })
})

describe('other protocols on the same connection', () => {
  test('HTTP/2 is not taken up: the request is answered as it is, its body too', async () => {
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running' } })
    const line = lineTo(to.port)
    line.say('POST /a HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n')
    line.say(
      'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nX-\xe9: 1\r\nContent-Length: 3\r\n\r\nab'.replace(
        'X-\xe9: 1\r\n',
        'X-E: \xe9\r\n',
      ),
    )
    line.say('c')
    const { url, bytes, headers } = seen({ body: /\{.*\}/.exec(await line.ends())?.[0] ?? '' })
    expect([url, bytes, headers['upgrade'], headers['http2-settings'], headers['x-e']]).toEqual([
      '/a',
      3,
      undefined,
      undefined,
      '\u00c3\u00a9',
    ])
  })

  test('one that the app does not want is its answer, and the end of the connection', async () => {
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running' } })
    const line = lineTo(to.port)
    line.say('GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    line.say('GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n')
    const text = await line.ends()
    expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(1)
    expect(text).toMatch(/\r\nConnection: close\r\n/i)
  })

  test('one that nobody asked for is a 502', async () => {
    const app = createServer((_, response) => {
      response.socket?.end('HTTP/1.1 101 Surprise\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
    })
    const to = await startPort({ shop: { port: await listen(app), state: 'running' } })
    expect((await call({ to, host: 'shop.test', method: 'POST', body: 'x' })).status).toBe(502)
  })

  test('a WebSocket to nowhere is told so', async () => {
    const to = await startPort({})
    const line = lineTo(to.port)
    line.say('GET / HTTP/1.1\r\nHost: nowhere.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    expect(await line.ends()).toMatch(/^HTTP\/1\.1 404 /)
  })

  test('a WebSocket ends with its app, and the app with the client', async () => {
    const sockets: { destroy(): void; destroyed: boolean }[] = []
    const app = createServer()
    app.on('upgrade', (_, socket) => {
      sockets.push(socket)
      socket
        .on('error', () => undefined)
        .on('end', () => socket.end())
        .resume()
      socket.write('HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n')
    })
    const to = await startPort({ shop: { port: await startApp(echo, app), state: 'running' } })
    const open = async () => {
      const line = lineTo(to.port)
      line.say('GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      await line.hears(/101 Yes/)
      return line
    }
    const first = await open()
    sockets[0]?.destroy()
    await first.ends()
    first.socket.destroy()
    const second = await open()
    second.socket.resetAndDestroy()
    await until('the app knows', () => sockets[1]?.destroyed === true)
    await until('no session is left', () => to.server.sessions.ofGroup('shop') === 0)
  })
})
