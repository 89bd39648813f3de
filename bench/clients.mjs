import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('clients-program.mjs', import.meta.url))

/** Starts `count` clients that keep their connection and as many that do not, in a process of their own. */
export function startPacedClients(cleanup, { port, hosts, count, everyMs }) {
  const child = fork(PROGRAM, [port, count, everyMs, ...hosts].map(String))
  const ended = once(child, 'exit')
  const end = cleanup.add(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return {
    /** From now on answers count for this phase; before the first, for none that anybody asks for. */
    phase: (name) => child.send({ phase: name }),
    /** Ends them; resolves to the times by phase, and by phase and kind of client, and to what failed. */
    async stop() {
      const told = once(child, 'message')
      child.send({ stop: true })
      const [{ phases, failures, answered }] = await told
      await end()
      const failed = Object.values(failures).reduce((sum, many) => sum + many, 0)
      return { phases, failures, failed, answered }
    },
  }
}
