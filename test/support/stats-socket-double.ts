import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach } from '@jest/globals'
import { tempDir } from './temp.js'

const servers: { server: Server; sockets: Set<Socket> }[] = []

afterEach(async () => {
  for (const { server, sockets } of servers.splice(0)) {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
})

/** The answers to the two lines with which every connection begins. */
export const GREETED = '\n> \n> '

/** A stand-in for a stats socket, for faults that the real one cannot be made to produce: `answer` gets what comes. */
export async function socketDouble(answer: (text: string, socket: Socket) => void): Promise<string> {
  const path = join(tempDir(), 's.sock')
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => answer(String(chunk), socket))
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  servers.push({ server, sockets })
  return path
}

/** One that greets as HAProxy does and then lets `answer` say the rest. */
export function greetingDouble(answer: (text: string, socket: Socket) => void): Promise<string> {
  const greeted = new Set<Socket>()
  return socketDouble((text, socket) => {
    if (greeted.has(socket)) return answer(text, socket)
    greeted.add(socket)
    socket.write(GREETED)
  })
}
