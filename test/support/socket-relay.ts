import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { tempDir } from './temp.js'

/** Stands before the stats socket of a real HAProxy and notes what it is asked. */
export interface SocketRelay {
  readonly path: string
  /** How often a command was sent so far. */
  count(command: string): number
  close(): Promise<void>
}

export async function startSocketRelay(target: string): Promise<SocketRelay> {
  const path = join(tempDir(), 'relay.sock')
  let asked = ''
  const server = createServer((client) => {
    const upstream = connect(target)
    client.on('data', (chunk) => {
      asked += chunk
    })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    path,
    count: (command) => asked.split(`${command}\n`).length - 1,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
