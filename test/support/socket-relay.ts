import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { tempDir } from './temp.js'

/** Stands before the stats socket of a real HAProxy and notes what it is asked. */
export interface SocketRelay {
  readonly path: string
  /** How often a command was sent so far. */
  count(command: string): number
  /** Once, the next time that a command is sent: it is passed on when the job is done. */
  before(command: string, job: () => Promise<void>): void
  close(): Promise<void>
}

export async function startSocketRelay(target: string): Promise<SocketRelay> {
  const path = join(tempDir(), 'relay.sock')
  let asked = ''
  let ambush: { readonly command: string; readonly job: () => Promise<void> } | undefined
  const server = createServer((client) => {
    const upstream = connect(target)
    const passOn = async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        asked += chunk
        const { command, job } = ambush ?? {}
        if (command !== undefined && chunk.includes(command)) {
          ambush = undefined
          await job?.()
        }
        yield chunk
      }
    }
    pipeline(client, passOn, upstream, () => client.destroy())
    pipeline(upstream, client, () => upstream.destroy())
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    path,
    count: (command) => asked.split(`${command}\n`).length - 1,
    before: (command, job) => {
      ambush = { command, job }
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
