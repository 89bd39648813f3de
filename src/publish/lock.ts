import { type FileHandle, open, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { codeOf, HostlerError } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import { unless } from './failure.js'

/**
 * One Hostler per folder. The lock is a listening socket in the folder: the kernel closes it with its process, however
 * that ends, and a socket without a listener is known as stale at once. Process ids would not do, since every
 * container has a process 1. Containers on one machine see each other; machines that share a network folder do not.
 */
export interface Lock {
  release(): Promise<void>
}

/** Throws PUBLISH_LOCKED when another one holds it. Where the file system has no sockets there is no lock. */
export async function holdLock(folder: string, log: Logger): Promise<Lock> {
  const path = join(folder, 'lock')
  // A socket's address holds 107 bytes; the folder's own descriptor gives a short name for it.
  const handle = Buffer.byteLength(path) > 100 ? await open(folder, 'r') : undefined
  const address = handle ? `/proc/self/fd/${handle.fd}/lock` : path
  try {
    const server = await claim(address, folder)
    return { release: () => release(server, handle) }
  } catch (err) {
    await handle?.close()
    if (err instanceof HostlerError) throw err
    log.debug({ path, err }, 'no lock is possible here, so another Hostler on this folder would not be noticed')
    return { release: async () => undefined }
  }
}

async function claim(address: string, folder: string): Promise<Server> {
  for (let tries = 0; ; tries++) {
    try {
      return await listen(address)
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE' || tries > 2) throw error
      if (await answers(address)) throw held(folder)
      await unless(['ENOENT'], () => unlink(address))
    }
  }
}

function listen(address: string): Promise<Server> {
  const server = createServer((visitor) => visitor.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(address, () => resolve(server.unref()))
  })
}

const answers = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const visitor = connect(address)
    visitor.once('error', () => resolve(false)).once('connect', () => resolve(true) ?? visitor.destroy())
  })

async function release(server: Server, handle: FileHandle | undefined): Promise<void> {
  await new Promise((resolve) => server.close(resolve))
  await handle?.close()
}

const held = (folder: string) =>
  new HostlerError(
    'PUBLISH_LOCKED',
    `another Hostler publishes by way of ${folder}; stop it, or give this one a folder of its own`,
  )
