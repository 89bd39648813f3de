import { request } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { type Clock, systemClock } from '../../src/lib/clock.js'
import { silentLogger } from '../../src/lib/logger.js'
import { createExecutor, type Executor } from '../../src/proxies/haproxy/runtime/executor.js'
import type { Step } from '../../src/proxies/haproxy/runtime/types.js'
import { createApp } from './haproxy.js'
import { type HaproxyWorker, startHaproxy } from './haproxy-worker.js'
import { makePem, type Pem } from './pem.js'
import { freePort } from './ports.js'
import { startUpstream, type Upstream } from './upstreams.js'

/** A HAProxy with an executor on it, and upstreams to send requests to. */
export interface ExecutorRig {
  readonly haproxy: HaproxyWorker
  readonly executor: Executor
  readonly tlsPort: number
  /** Served for one.example and for unknown names. */
  readonly one: Pem
  readonly upstreams: readonly Upstream[]
  readonly app: Awaited<ReturnType<typeof createApp>>
  run(...steps: Step[]): Promise<unknown>
  /** The status and body of one fresh connection. */
  get(host: string, path?: string): Promise<{ status: number; body: string }>
  /** `server` fields of `show servers state`. */
  servers(backend: string): Promise<string[]>
  stop(): Promise<void>
}

const CONFIG = `frontend web
  bind 127.0.0.1:PORT
  use_backend %[req.hdr(host),map_str(hosts.map)]
frontend tls
  bind 127.0.0.1:TLS ssl crt-list certificates.list
  http-request return status 200
backend app
  server s1 127.0.0.1:APP
backend pair
  server s1 127.0.0.1:UP0
  server s2 127.0.0.1:UP1
backend spare
backend static
  balance source
`

export async function startExecutorRig(bin: string, clock: Clock = systemClock): Promise<ExecutorRig> {
  const stopping = new AbortController()
  const { signal } = stopping
  const [app, tlsPort, one] = [await createApp(), await freePort(), await makePem('one.example')]
  const upstreams = [await startUpstream('zero'), await startUpstream('one')]
  const haproxy = await startHaproxy({
    bin,
    config: [`TLS ${tlsPort}`, `APP ${app.port}`, ...upstreams.map(({ port }, i) => `UP${i} ${port}`)]
      .map((pair) => pair.split(' '))
      .reduce((text, [name = '', value = '']) => text.replaceAll(name, value), CONFIG),
    files: {
      'hosts.map': 'app.example app\npair.example pair\n',
      'certificates.list': 'one.pem\none.pem one.example\n',
      'one.pem': one.both,
    },
    signal,
  })
  const executor = createExecutor({ socket: haproxy.socket, clock, log: silentLogger(), signal })
  return {
    haproxy,
    executor,
    tlsPort,
    one,
    upstreams,
    app,
    run: (...steps) => executor.run(steps, signal),
    get: (host, path = '/') => get(haproxy.port, host, path),
    servers: async (backend) =>
      (await haproxy.ask(`show servers state ${backend}`))
        .trim()
        .split('\n')
        .slice(2)
        .map((line) => line.split(' ')[3] ?? ''),
    async stop() {
      stopping.abort()
      await haproxy.stop()
      await app.close()
      for (const upstream of upstreams) await upstream.close()
    },
  }
}

export function get(port: number, host: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers: { host }, agent: false, timeout: 10_000 }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', reject)
    })
      .on('error', reject)
      .end()
  })
}

/** The key and its answer of RFC 6455, section 1.3. HAProxy refuses a WebSocket without. */
const [KEY, ACCEPT] = ['dGhlIHNhbXBsZSBub25jZQ==', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=']
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket'

/** A server whose connections, once upgraded, echo until one side ends them, as WebSockets do. */
export async function startTunnelServer() {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    let upgraded = false
    socket.on('data', (chunk) => {
      if (upgraded) return void socket.write(chunk)
      upgraded = true
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${UPGRADE}\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A client's end of such a connection. */
export interface Tunnel {
  echo(text: string): Promise<string>
  isOpen(): boolean
  end(): void
}

export function openTunnel(port: number, host: string): Promise<Tunnel> {
  return new Promise((resolve, reject) => {
    const headers = { host, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': KEY }
    request({ host: '127.0.0.1', port, path: '/', headers })
      .on('upgrade', (_, socket) => {
        socket.on('error', () => undefined)
        resolve({
          isOpen: () => !socket.destroyed,
          echo: (text) =>
            new Promise((answered, failed) => {
              socket.once('data', (chunk: Buffer) => answered(String(chunk)))
              socket.once('close', () => failed(new Error('closed')))
              socket.write(text)
            }),
          end: () => void socket.destroy(),
        })
      })
      .on('response', (response) => reject(new Error(`status ${response.statusCode}`)))
      .on('error', reject)
      .end()
  })
}
