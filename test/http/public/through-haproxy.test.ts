import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server, type OutgoingHttpHeaders } from 'node:http2'
import { expect, test } from '@jest/globals'
import { startHaproxy } from '../../support/haproxy-worker.js'
import {
  afterThisTest,
  call,
  echo,
  lineTo,
  type PublicPort,
  seen,
  startApp,
  startPort,
} from '../../support/public-port.js'
import { describeWith } from '../../support/servers.js'
import { until } from '../../support/wait.js'

describeWith(['haproxy'], 'the public port behind a real HAProxy', () => {
  async function inFront({ port }: PublicPort): Promise<number> {
    const life = new AbortController()
    const haproxy = await startHaproxy({
      bin: 'haproxy',
      config: `frontend f\n  bind 127.0.0.1:PORT\n  default_backend b\nbackend b\n  server s 127.0.0.1:${port}\n`,
      signal: life.signal,
    })
    afterThisTest(async () => {
      life.abort()
      await haproxy.stop()
    })
    return haproxy.port
  }

  /** One HTTP/2 request, and everything that comes back. */
  function ask(port: number, headers: OutgoingHttpHeaders, body: readonly string[]) {
    const session = connectHttp2(`http://127.0.0.1:${port}`)
    session.on('error', () => undefined)
    afterThisTest(async () => session.destroy())
    const stream = session.request({ ':path': '/', ':authority': 'shop.test', ...headers })
    for (const piece of body) stream.write(piece)
    stream.end()
    return new Promise<{ status: unknown; text: string; trailers: Record<string, unknown> }>((resolve, reject) => {
      let [text, status, trailers] = ['', undefined as unknown, {}]
      stream.on('response', (found) => {
        status = found[':status']
      })
      stream.on('trailers', (found) => {
        trailers = { ...found }
      })
      stream.on('data', (chunk) => {
        text += chunk
      })
      stream.on('error', reject)
      stream.on('end', () => setImmediate(() => resolve({ status, text, trailers })))
    })
  }

  test('a gRPC call from HTTP/2 to HTTP/2 is held, and its trailers arrive', async () => {
    const app = createHttp2Server()
    app.on('stream', (stream, headers) => {
      let body = ''
      stream.on('data', (chunk) => {
        body += chunk
      })
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.end(`${headers[':path']} ${headers['te']} ${body}`)
      })
    })
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
    afterThisTest(() => new Promise((resolve) => app.close(resolve)))
    const port = (app.address() as { port: number }).port
    const to = await startPort({ shop: { port, labels: { scheme: 'h2c' } } })
    const front = await inFront(to)
    const headers = { ':method': 'POST', ':path': '/a.B/C', te: 'trailers', 'content-type': 'application/grpc' }
    const answer = ask(front, headers, ['one', 'two'])
    await until('it is held', () => to.server.held() === 1)
    to.wakeUp('shop')
    expect(await answer).toEqual({
      status: 200,
      text: '/a.B/C trailers onetwo',
      trailers: expect.objectContaining({ 'grpc-status': '0' }),
    })
  })

  test('a body of 20 MB that waits arrives byte for byte', async () => {
    const to = await startPort({ shop: { port: await startApp(echo) } })
    const front = await inFront(to)
    const body = randomBytes(20 << 20)
    const waiting = call({ to: { port: front }, host: 'shop.test', method: 'PUT', body })
    await until('it is held', () => to.server.held() === 1)
    to.wakeUp('shop')
    const sha256 = createHash('sha256').update(body).digest('hex')
    expect(seen(await waiting)).toMatchObject({ method: 'PUT', bytes: body.length, sha256 })
  })

  test('keep-alive connections from HAProxy carry one request after the other', async () => {
    const to = await startPort({ shop: { port: await startApp(echo), state: 'running' } })
    const front = await inFront(to)
    for (let round = 0; round < 50; round++) {
      const method = round % 2 === 0 ? 'GET' : 'POST'
      const reply = await call({
        to: { port: front },
        host: 'shop.test',
        path: `/${round}`,
        method,
        body: method === 'POST' ? 'x' : '',
      })
      expect([reply.status, seen(reply).url]).toEqual([200, `/${round}`])
    }
  })

  test('a WebSocket is held and opened', async () => {
    const app = createServer()
    app.on('upgrade', (_, socket) => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
      )
      socket.on('error', () => undefined).on('data', (chunk) => socket.write(`<${chunk}>`))
      socket.on('end', () => socket.end())
    })
    const to = await startPort({ shop: { port: await startApp(echo, app) } })
    const line = lineTo(await inFront(to))
    line.say('GET /ws HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n')
    line.say('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
    await until('it is held', () => to.server.held() === 1)
    to.wakeUp('shop')
    await line.hears(/^HTTP\/1\.1 101 /)
    line.say('ping')
    await line.hears(/<ping>$/)
  })
})
