// A server of WebSockets, and clients that hold theirs open: what keeps an old HAProxy worker alive.
import { createHash, randomBytes } from 'node:crypto'
import { createServer, get } from 'node:http'

/** Accepts every upgrade and sends back whatever bytes it is sent. @returns the port on which it listens */
export async function startEchoServer(cleanup) {
  const sockets = new Set()
  const server = createServer((_request, response) => response.end('ok'))
  server.on('upgrade', ({ headers }, socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.write(`${SWITCHING}Sec-WebSocket-Accept: ${acceptOf(headers['sec-websocket-key'])}\r\n\r\n`)
    socket.pipe(socket)
  })
  // Every container's address is one of this machine's own.
  await new Promise((resolve) => server.listen(0, '0.0.0.0', resolve))
  const stop = cleanup.add(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return { port: server.address().port, stop }
}

const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'

/** RFC 6455, section 4.2.2; HAProxy checks it. */
const acceptOf = (key) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** Opens one through a proxy; resolves once it is upgraded. `answers` tells whether it still gets an echo. */
export function openWebSocket({ port, host }) {
  const key = randomBytes(16).toString('base64')
  const headers = { host, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': key }
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, headers })
      .on('error', reject)
      .on('response', ({ statusCode }) => reject(new Error(`the upgrade was answered with status ${statusCode}`)))
      .on('upgrade', (_response, socket) => {
        socket.on('error', () => undefined)
        resolve({ answers: () => echoes(socket), close: () => socket.destroy() })
      })
  })
}

/** A whole text frame, masked with zeros (RFC 6455, section 5.2). */
const PING = Buffer.concat([Buffer.from([0x81, 0x84, 0, 0, 0, 0]), Buffer.from('ping')])

function echoes(socket, timeoutMs = 2000) {
  return new Promise((resolve) => {
    const finish = (answer) => {
      clearTimeout(timer)
      resolve(answer)
    }
    const timer = setTimeout(() => finish(false), timeoutMs)
    socket.once('data', () => finish(true)).once('close', () => finish(false))
    socket.write(PING)
  })
}
