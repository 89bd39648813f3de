import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('docker-double.mjs', import.meta.url))

/** Starts the double of a Docker engine with `count` containers, in a process of its own. */
export async function startDouble(cleanup, folder, count) {
  const socket = join(folder, 'docker.sock')
  const child = fork(PROGRAM, [socket, String(count)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  const stop = cleanup.add(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await once(child, 'message')
  return {
    host: `unix://${socket}`,
    stop,
    /** Changes the health of one container; resolves to when its event was written, and how many heard it. */
    async change(index, health) {
      const answer = once(child, 'message')
      child.send({ index, health })
      const [{ at, followers }] = await answer
      return { at, followers }
    },
  }
}
