import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pairs } from './headers.js'
import type { Upgrade } from './visit.js'

/**
 * Requests for another protocol on the same connection. WebSocket and its like become tunnels. HTTP/2 without TLS does not:
 * we speak HTTP/1.1 and look at each request; so such a request, and one that has a body or speaks HTTP/1.0, is read once
 * more as if it had not asked, as RFC 9110 section 7.8 allows.
 */
export function onUpgrade(server: Server, serve: (request: IncomingMessage, upgrade: Upgrade) => void): void {
  server.on('upgrade', (request, socket, head) => {
    const protocol = protocolOf(request)
    if (protocol === undefined) readAgain(server, request, socket as Socket, head)
    else serve(request, { protocol, socket, takeEarly: listenTo(socket as Socket, head) })
  })
}

function protocolOf({ headers, httpVersion }: IncomingMessage): string | undefined {
  const hasBody = headers['transfer-encoding'] !== undefined || ![undefined, '0'].includes(headers['content-length'])
  if (hasBody || httpVersion !== '1.1') return undefined
  const others = (headers.upgrade ?? '')
    .split(',')
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== '' && !/^h2c?$/i.test(protocol))
  return others.length > 0 ? others.join(', ') : undefined
}

const NOT_AGAIN: ReadonlySet<string> = new Set(['connection', 'http2-settings', 'upgrade'])

function readAgain(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request
  const kept = [...pairs(rawHeaders)]
    .filter(([name]) => !NOT_AGAIN.has(name))
    .map(([name, value]) => `${name}: ${value}`)
  if (/(?:^|[,\s])close(?:$|[,\s])/i.test(request.headers.connection ?? '')) kept.push('connection: close')
  const lines = [`${method} ${url} HTTP/${httpVersion}`, ...kept, '', '']
  socket.unshift(Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), head]))
  server.emit('connection', socket)
}

/** What a client may send before it has been told that it may. */
const MOST_EARLY_BYTES = 65_536

/** Nobody else would notice that the client hangs up while it waits. */
function listenTo(socket: Socket, head: Buffer): () => Buffer {
  const early = [head]
  let bytes = head.length
  const keep = (chunk: Buffer) => {
    early.push(chunk)
    bytes += chunk.length
    if (bytes >= MOST_EARLY_BYTES) socket.pause()
  }
  const leave = () => socket.destroy()
  socket.on('error', leave).on('data', keep).on('end', leave)
  return () => {
    socket.off('data', keep).off('end', leave).pause()
    return Buffer.concat(early)
  }
}

/** An answer in HTTP to a client that wanted another protocol; the connection ends with it. */
export function responseTo(request: IncomingMessage, duplex: Duplex): ServerResponse {
  const socket = duplex as Socket
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  response.once('finish', () => {
    response.detachSocket(socket)
    socket.destroySoon()
  })
  return response
}
