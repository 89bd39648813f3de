import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { HostlerError } from '../../lib/errors.js'

const MAX_BYTES = 64 * 1024 * 1024
const SETTLE_MS = 50
const MAX_TRIES = 10

/**
 * The text of a file that somebody may be writing right now. Half a list is a list too, so a text that breaks off
 * within a line is read again until it stays as it is. Throws when the file is missing, too large, or no file.
 */
export async function readSettledText(path: string, signal: AbortSignal): Promise<string> {
  let text = await readText(path, signal)
  for (let tries = 1; tries < MAX_TRIES && !looksWhole(text); tries++) {
    await delay(SETTLE_MS, undefined, { signal })
    const again = await readText(path, signal)
    if (again === text) return text
    text = again
  }
  return text
}

const looksWhole = (text: string) => /[\n}]$/.test(text)

async function readText(path: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw new HostlerError('file-missing', `cannot open ${path}, the list of instances (setting file.path)`, { cause })
  })
  try {
    const stats = await file.stat()
    if (!stats.isFile()) throw new HostlerError('file-kind', `${path} is not a regular file; point file.path at one`)
    if (stats.size > MAX_BYTES) throw new HostlerError('file-size', `${path} is larger than ${MAX_BYTES >> 20} MiB`)
    return await file.readFile({ encoding: 'utf8', signal })
  } finally {
    await file.close()
  }
}
