import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { tempDir } from './temp.js'

/**
 * What becomes of an answer: another text comes in its place and HAProxy is not asked; it never comes; its first bytes come
 * and then the connection ends; it comes byte by byte, one each so many milliseconds.
 */
export type Fault =
  | { readonly say: string }
  | { readonly never: true }
  | { readonly cutAfter: number }
  | { readonly byteEachMs: number }

/** Stands before the stats socket of a real HAProxy, and spoils answers where a test says so. */
export interface FaultySocket {
  readonly path: string
  /** From now on, the answers to what begins with this; `spare` so many before. */
  spoil(command: string, fault: Fault, spare?: number): void
  /** From now on, all is well. */
  mend(): void
  /** Lines that began with this, as they were asked. */
  asked(command: string): string[]
  close(): Promise<void>
}

export async function startFaultySocket(target: string): Promise<FaultySocket> {
  const path = join(tempDir(), 'faulty.sock')
  const faults = new Map<string, { fault: Fault; spare: number }>()
  const sockets = new Set<Socket>()
  let lines: string[] = []

  const server = createServer((client) => {
    const haproxy = connect(target)
    let fault: Fault | undefined
    for (const socket of [client, haproxy]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    client.on('close', () => haproxy.destroy())
    haproxy.on('close', () => client.destroy())
    client.on('data', (chunk) => {
      const text = String(chunk)
      lines.push(...text.split('\n'))
      const found = [...faults].find(([command]) => text.split('\n').some((line) => line.startsWith(command)))?.[1]
      fault = found && found.spare-- <= 0 ? found.fault : undefined
      if (fault && 'say' in fault) client.write(fault.say)
      else haproxy.write(chunk)
    })
    haproxy.on('data', (chunk) => {
      if (fault && 'never' in fault) return
      if (fault && 'cutAfter' in fault) client.end(chunk.subarray(0, fault.cutAfter))
      else if (fault && 'byteEachMs' in fault) drip(client, chunk, fault.byteEachMs)
      else client.write(chunk)
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    path,
    spoil: (command, fault, spare = 0) => void faults.set(command, { fault, spare }),
    mend() {
      faults.clear()
      lines = []
    },
    asked: (command) => lines.filter((line) => line.startsWith(command)),
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function drip(client: Socket, bytes: Buffer, eachMs: number, from = 0): void {
  if (from === bytes.length || client.destroyed) return
  client.write(bytes.subarray(from, from + 1))
  setTimeout(() => drip(client, bytes, eachMs, from + 1), eachMs)
}
