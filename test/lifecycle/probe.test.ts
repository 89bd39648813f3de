import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { type ProbeTarget, probe } from '../../src/lifecycle/probe.js'
import { makePem } from '../support/pem.js'
import { freePort } from '../support/ports.js'
import { startH2cUpstream, startHttpsUpstream, startUpstream, type Upstream } from '../support/upstreams.js'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

async function opened<T extends { close(): unknown }>(starting: Promise<T>): Promise<T> {
  const one = await starting
  open.push(one)
  return one
}

const patient = new AbortController().signal
const ask = (port: number, over: Partial<ProbeTarget> = {}, timeoutMs = 5000) =>
  probe({ address: '127.0.0.1', port, scheme: 'http', forwarded: false, ...over }, timeoutMs, patient)
const up = (status = '200-399') => ({ path: '/up?a=1', status, host: 'app.test' })

/** A port of which the test decides what becomes of each connection. */
async function listening(handle: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    handle(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push({
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    },
  })
  return (server.address() as AddressInfo).port
}

describe('a port', () => {
  test('that accepts is ready, and nothing is said to it', async () => {
    const heard: string[] = []
    const port = await listening((socket) => socket.on('data', (data) => heard.push(String(data))))
    expect(await ask(port)).toBe(true)
    expect(await ask(port, { forwarded: true })).toBe(true)
    expect(heard).toEqual([])
  })

  test('that nobody listens on is not', async () => {
    expect(await ask(await freePort())).toBe(false)
  })

  test.each([
    ['closed', (socket: Socket) => socket.end()],
    ['reset', (socket: Socket) => socket.resetAndDestroy()],
  ])('that a forwarder accepts is not ready while every connection is %s at once', async (_, drop) => {
    const port = await listening(drop)
    expect(await ask(port, { forwarded: true })).toBe(false)
  })

  test('at an address that does not exist is not ready', async () => {
    expect(await ask(80, { address: 'nobody.invalid' })).toBe(false)
  })
})

describe('a health check', () => {
  const schemes: [string, ProbeTarget['scheme'], () => Promise<Upstream>][] = [
    ['HTTP', 'http', () => startUpstream('a')],
    [
      'HTTPS with a certificate of its own making',
      'https',
      async () => startHttpsUpstream('a', (await makePem('app.test')).both),
    ],
    ['HTTP/2 without TLS', 'h2c', () => startH2cUpstream('a')],
  ]
  test.each(schemes)('over %s is asked of the path and host, and its answer decides', async (_, scheme, start) => {
    const upstream = await opened(start())
    expect(await ask(upstream.port, { scheme, check: up() })).toBe(true)
    expect(upstream.hits('/up?a=1')).toBe(1)
    upstream.status = 503
    expect(await ask(upstream.port, { scheme, check: up() })).toBe(false)
    upstream.status = 404
    expect(await ask(upstream.port, { scheme, check: up('200,404-410') })).toBe(true)
    upstream.status = 411
    expect(await ask(upstream.port, { scheme, check: up('200,404-410') })).toBe(false)
  })

  test.each(['v1', 'v2'] as const)(
    'begins with the proxy protocol %s where the app wants it',
    async (proxyProtocol) => {
      const heard: Buffer[] = []
      const port = await listening((socket) =>
        socket.on('data', (data) => {
          heard.push(data)
          if (Buffer.concat(heard).includes('\r\n\r\n')) socket.end('HTTP/1.1 204 No Content\r\n\r\n')
        }),
      )
      expect(await ask(port, { proxyProtocol, check: up('204') })).toBe(true)
      const text = Buffer.concat(heard).toString('latin1')
      expect(text.slice(0, text.indexOf('GET '))).toBe(
        proxyProtocol === 'v1' ? 'PROXY UNKNOWN\r\n' : '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0',
      )
      expect(text).toMatch(/GET \/up\?a=1 HTTP\/1\.1\r$/m)
      expect(text).toMatch(/^host: app\.test\r$/im)
    },
  )

  test('follows no redirect: where it leads is somebody else’s', async () => {
    const other = await opened(startUpstream('other'))
    const port = await listening((socket) =>
      socket.once('data', () => socket.end(`HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:${other.port}/\r\n\r\n`)),
    )
    expect(await ask(port, { check: up('200') })).toBe(false)
    expect(await ask(port, { check: up() })).toBe(true)
    expect(other.hits()).toBe(0)
  })

  test.each<[string, (socket: Socket) => void]>([
    ['speaks another protocol', (socket) => socket.end('220 mail.test ESMTP\r\n')],
    ['hangs up', (socket) => socket.end()],
    ['resets', (socket) => socket.resetAndDestroy()],
  ])('that %s is a no', async (_, handle) => {
    const port = await listening((socket) => socket.once('data', () => handle(socket)))
    for (const scheme of ['http', 'https', 'h2c'] as const) expect(await ask(port, { scheme, check: up() })).toBe(false)
  })

  test('that never answers is a no when its time is over', async () => {
    const port = await listening((socket) => socket.resume())
    for (const scheme of ['http', 'https', 'h2c'] as const) {
      expect(await ask(port, { scheme, check: up() }, 50)).toBe(false)
    }
  })
})

test('a probe that is called off rejects and leaves no connection', async () => {
  const closed: Promise<unknown>[] = []
  const ending = new AbortController()
  const port = await listening((socket) => {
    closed.push(new Promise((resolve) => socket.on('close', resolve)))
    socket.resume()
    ending.abort(new Error('enough'))
  })
  const target: ProbeTarget = { address: '127.0.0.1', port, scheme: 'http', forwarded: false, check: up() }
  await expect(probe(target, 5000, ending.signal)).rejects.toThrow('enough')
  await Promise.all(closed)
  expect(closed).toHaveLength(1)
  await expect(probe(target, 5000, ending.signal)).rejects.toThrow('enough')
})
