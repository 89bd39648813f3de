import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'

/** What an upstream answers: which one it is and what it was asked. */
export interface Echo {
  readonly app: string
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** The PROXY protocol's header, as the upstream saw it. */
  readonly proxy?: string
}

/** A container's app: a server on a free port of 127.0.0.1 that echoes what it is asked. */
export interface Upstream {
  readonly port: number
  /** How many requests it got so far. */
  hits(path?: string): number
  /** What it answers from now on; 200 at first. */
  status: number
  close(): Promise<void>
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** Speaks plain HTTP/1.1. */
export const startUpstream = (app: string) => listen(app, (handler) => createServer(handler))

/** Speaks HTTP/2 without TLS, and nothing else. */
export const startH2cUpstream = (app: string) =>
  listen(app, (handler) => createHttp2Server(handler as never) as unknown as Server)

export const startHttpsUpstream = (app: string, pem: string) =>
  listen(app, (handler) => createHttpsServer({ key: pem, cert: pem }, handler))

async function listen(app: string, create: (handler: Handler) => Server): Promise<Upstream> {
  const seen: string[] = []
  const upstream = { status: 200 }
  const server = create((request, response) => {
    const { method = '', url = '', headers } = request
    seen.push(url)
    response.writeHead(upstream.status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ app, method, url, headers } satisfies Echo))
  })
  const { port, close } = await open(server)
  return Object.assign(upstream, {
    port,
    close,
    hits: (path?: string) => seen.filter((url) => path === undefined || url === path).length,
  })
}

/** Answers only those who begin with a PROXY protocol header, version 1 or 2, and says what was in it. */
export async function startProxyProtocolUpstream(app: string): Promise<Upstream> {
  let hits = 0
  const server = createTcpServer((socket) => {
    let bytes = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      const proxy = proxyHeader(bytes)
      if (proxy === undefined || !bytes.includes('\r\n\r\n')) return
      hits++
      const body = JSON.stringify({ app, method: '', url: '', headers: {}, proxy } satisfies Echo)
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
    })
    socket.on('error', () => undefined)
  })
  return { ...(await open(server)), hits: () => hits, status: 200 }
}

/** `v1 TCP4 127.0.0.1` or `v2 TCP4 127.0.0.1`; undefined until the bytes hold a header. */
function proxyHeader(bytes: Buffer): string | undefined {
  const line = /^PROXY (TCP\d) (\S+) \S+ \d+ \d+\r\n/.exec(bytes.toString('latin1'))
  if (line) return `v1 ${line[1]} ${line[2]}`
  const signature = Buffer.from('0d0a0d0a000d0a515549540a21', 'hex')
  if (bytes.length < 28 || !bytes.subarray(0, 13).equals(signature)) return undefined
  return `v2 ${bytes[13] === 0x11 ? 'TCP4' : `family ${bytes[13]}`} ${[...bytes.subarray(16, 20)].join('.')}`
}

async function open(server: Server): Promise<{ port: number; close: () => Promise<void> }> {
  const sockets = new Set<Socket>()
  for (const event of ['connection', 'secureConnection']) {
    server.on(event, (socket: Socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
  }
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
