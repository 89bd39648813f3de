import { createHash } from 'node:crypto'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type RequestOptions,
  request,
  type Server,
} from 'node:http'
import { type AddressInfo, connect, type Socket, type Server as TcpServer } from 'node:net'
import { afterEach } from '@jest/globals'
import type { Settings } from '../../src/config/schema.js'
import { createPages } from '../../src/http/public/pages.js'
import { createPublicServer, type PublicServer, type PublicServerOptions } from '../../src/http/public-server.js'
import { systemClock } from '../../src/lib/clock.js'
import { silentLogger } from '../../src/lib/logger.js'
import { createSleepyWorld, type SleepyWorld, type Stack } from './sleepy-world.js'

/** What a test has started, to be ended after it. */
const open: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of open.splice(0).reverse()) await end()
})

export const afterThisTest = (end: () => Promise<unknown>): void => void open.push(end)

export const WAKE: Settings['wake'] = {
  enabled: true,
  grace: 50,
  timeout: 20_000,
  maxHeld: 5000,
  maxHeldPerGroup: 1000,
  ignoredPaths: ['/favicon.ico', '/health', '/probes/*'],
  ignoredAgents: ['uptime'],
}

export interface PublicPort extends SleepyWorld {
  readonly port: number
  readonly server: PublicServer
}

export type PortOptions = Partial<Omit<PublicServerOptions, 'settings'>> & { settings?: Partial<Settings['wake']> }

/** A public port in front of stacks that are called NAME.test. */
export async function startPort(stacks: Record<string, Stack>, options: PortOptions = {}): Promise<PublicPort> {
  const clock = options.clock ?? systemClock
  const sleepy = createSleepyWorld(stacks, () => clock.now())
  const log = options.log ?? silentLogger()
  const server = createPublicServer({
    listen: { host: '127.0.0.1', port: 0 },
    pages: createPages({ overlay: '', log, clock }),
    domain: 'ci.example.com',
    limits: { drainMs: 0 },
    ...sleepy,
    ...options,
    settings: { ...WAKE, ...options.settings },
    log,
    clock,
  })
  const { port } = await server.start()
  open.push(() => server.stop())
  return Object.assign(sleepy, { port, server })
}

/** An app in a container: a handler on a free port of 127.0.0.1. */
export async function startApp(
  handler: RequestListener,
  server: Server = createServer(),
  address = '127.0.0.1',
): Promise<number> {
  server.on('request', handler)
  return listen(server, address)
}

export async function listen(server: TcpServer, address = '127.0.0.1'): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, address, 4096, resolve))
  open.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

/** What an app saw of a request. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly raw: readonly string[]
  readonly headers: IncomingHttpHeaders
  readonly bytes: number
  readonly sha256: string
  readonly trailers: readonly string[]
}

/** Answers with what it saw, body's hash and all. */
export const echo: RequestListener = async (request, response) => {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of request) {
    hash.update(chunk)
    bytes += chunk.length
  }
  const { method = '', url = '', headers, rawHeaders: raw, rawTrailers: trailers } = request
  const seen: Seen = { method, url, headers, raw, bytes, trailers, sha256: hash.digest('hex') }
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(seen))
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly raw: readonly string[]
  readonly body: string
  readonly trailers: NodeJS.Dict<string>
  /** Milliseconds until the head was there. */
  readonly headMs: number
}

export interface Call extends RequestOptions {
  readonly to: { readonly port: number }
  readonly host: string
  readonly body?: string | Buffer | undefined
  readonly headers?: Record<string, string | string[]>
}

/** Asks for `host` at a port, as a proxy would. */
export function call({ to, host, body, headers, ...options }: Call): Promise<Reply> {
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: '127.0.0.1', port: to.port, agent: false, ...options, headers: { host, ...headers } },
      async (answer) => {
        const headMs = performance.now() - startedAt
        const whole = await textOf(answer).catch(reject)
        if (whole === undefined) return
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          raw: answer.rawHeaders,
          body: whole,
          trailers: answer.trailers,
          headMs,
        })
      },
    )
    asked.on('error', reject)
    asked.end(body)
  })
}

export const seen = ({ body }: Pick<Reply, 'body'>): Seen => JSON.parse(body) as Seen

async function textOf(message: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of message) text += chunk
  return text
}

/** A browser's headers when it goes to a page. */
export const BROWSER = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'sec-fetch-mode': 'navigate',
}

/** A connection on which a test says what it likes. */
export interface Line {
  readonly socket: Socket
  say(text: string | Buffer): void
  /** Everything that has come so far. */
  heard(): string
  /** Resolves when what has come matches. */
  hears(pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves with everything when the other side has ended. */
  ends(): Promise<string>
}

export function lineTo(port: number): Line {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  let text = ''
  let isOver = false
  const listeners = new Set<() => void>()
  const look = () => {
    for (const listener of [...listeners]) listener()
  }
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => {
    text += chunk
    look()
  })
  socket.on('error', () => undefined)
  for (const event of ['end', 'close']) {
    socket.on(event, () => {
      isOver = true
      look()
    })
  }
  open.push(async () => socket.destroy())
  const when = <T>(probe: () => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      const listener = () => {
        const found = probe()
        if (found === undefined) return
        listeners.delete(listener)
        resolve(found)
      }
      listeners.add(listener)
      listener()
    })
  return {
    socket,
    say: (words) => void socket.write(words as string, 'latin1'),
    heard: () => text,
    hears: (pattern) => when(() => pattern.exec(text) ?? undefined),
    ends: () => when(() => (isOver ? text : undefined)),
  }
}
