import { createHash } from 'node:crypto'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10]

/** Sends back every frame (RFC 6455), and is silent otherwise; with `?ms=N` it says `tick` every N milliseconds. */
export function acceptWebSocket(request, socket, state) {
  const key = request.headers['sec-websocket-key'] ?? ''
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64')
  const protocol = request.headers['sec-websocket-protocol']?.split(',')[0]
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${
      protocol ? `Sec-WebSocket-Protocol: ${protocol}\r\n` : ''
    }\r\n`,
  )
  state.webSockets++
  const tickMs = Number(new URL(request.url, 'http://app').searchParams.get('ms') ?? 0)
  const timer = tickMs > 0 && setInterval(() => socket.write(frame(TEXT, Buffer.from('tick'))), tickMs)
  socket.on('close', () => {
    state.webSockets--
    if (timer) clearInterval(timer)
  })
  socket.on('error', () => socket.destroy())
  socket.on('end', () => socket.end())
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk])
    for (let found = read(rest); found; found = read(rest)) {
      rest = rest.subarray(found.length)
      reply(socket, found)
    }
  })
}

function reply(socket, { final, opcode, payload }) {
  if (opcode === CLOSE) socket.end(frame(CLOSE, payload))
  else if (opcode === PING) socket.write(frame(PONG, payload))
  else if ([TEXT, BINARY, CONTINUATION].includes(opcode)) socket.write(frame(opcode, payload, final))
}

/** The first frame of these bytes; undefined until it is whole. */
function read(bytes) {
  if (bytes.length < 2) return undefined
  const short = bytes[1] & 0x7f
  const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0
  const begin = 2 + lengthBytes + (bytes[1] & 0x80 ? 4 : 0)
  if (bytes.length < begin) return undefined
  const size = lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : lengthBytes === 2 ? bytes.readUInt16BE(2) : short
  if (bytes.length < begin + size) return undefined
  const payload = Buffer.from(bytes.subarray(begin, begin + size))
  if (bytes[1] & 0x80) for (let index = 0; index < size; index++) payload[index] ^= bytes[begin - 4 + (index % 4)]
  return { final: (bytes[0] & 0x80) !== 0, opcode: bytes[0] & 0x0f, payload, length: begin + size }
}

function frame(opcode, payload, final = true) {
  const size = payload.length
  const header = Buffer.alloc(size > 65_535 ? 10 : size > 125 ? 4 : 2)
  header[0] = (final ? 0x80 : 0) | opcode
  header[1] = size > 65_535 ? 127 : size > 125 ? 126 : size
  if (size > 65_535) header.writeBigUInt64BE(BigInt(size), 2)
  else if (size > 125) header.writeUInt16BE(size, 2)
  return Buffer.concat([header, payload])
}
