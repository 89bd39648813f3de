import { rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { tempDir } from '../support/temp.js'

/** A unix socket in front of an engine's that counts requests and can be cut off and mended. */
export interface Gate {
  /** `unix://SOCKET` */
  readonly host: string
  /** `GET /containers/json`, `GET /containers/ID/json`, … in order, since the last `forget()`. */
  requests(): readonly string[]
  /** How many of them are of one kind. */
  count(kind: 'list' | 'inspect' | 'events'): number
  forget(): void
  /** Ends every connection and takes no more. */
  cut(): Promise<void>
  mend(): Promise<void>
  close(): Promise<void>
}

const KINDS = {
  list: /^GET \/containers\/json/,
  inspect: /^GET \/containers\/[^/]+\/json$/,
  events: /^GET \/events/,
} as const

export async function openGate(target: string): Promise<Gate> {
  const path = join(tempDir('hg-'), 'g.sock')
  const sockets = new Set<Socket>()
  let requests: string[] = []
  let server: Server | undefined

  const accept = (client: Socket) => {
    const engine = createConnection(target)
    for (const socket of [client, engine]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        engine.destroy()
      })
    }
    client.on('data', (chunk) => requests.push(...requestLines(chunk)))
    client.pipe(engine)
    engine.pipe(client)
  }
  const mend = async () => {
    rmSync(path, { force: true })
    server = createServer(accept)
    await new Promise<void>((resolve) => server?.listen(path, resolve))
  }
  const cut = async () => {
    const closed = new Promise((resolve) => server?.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
    server = undefined
  }
  await mend()
  return {
    host: `unix://${path}`,
    requests: () => requests,
    count: (kind) => requests.filter((line) => KINDS[kind].test(line)).length,
    forget: () => {
      requests = []
    },
    cut,
    mend,
    close: async () => {
      if (server) await cut()
    },
  }
}

const requestLines = (chunk: Buffer): string[] =>
  [...chunk.toString('latin1').matchAll(/^(GET|POST|DELETE) (\S+) HTTP\/1\.1\r$/gm)].map(
    ([, method, target]) => `${method} ${target?.split('?')[0]}`,
  )
