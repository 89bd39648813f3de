import { connect } from 'node:net'
import type { Clock } from '../../lib/clock.js'
import { codeOf, HostlerError } from '../../lib/errors.js'
import type { MasterSocket } from './master-socket.js'
import { commandLineOf, environmentOf } from './supervisor-process.js'

/**
 * A HAProxy that outlived the Hostler that started it (killed with -9, say). It still serves, and a second one would share
 * its ports silently (SO_REUSEPORT), so it is taken over rather than joined or refused.
 */
export interface Leftover {
  readonly pid: number
  /** `adopt`: it runs as we would start it, a reload is enough. `replace`: other arguments or environment. */
  readonly remedy: 'adopt' | 'replace'
}

export interface Wanted {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly clock: Clock
}

/** Undefined when nothing answers at the socket. Throws HAPROXY_LEFTOVER for what cannot be taken over. */
export async function findLeftover(
  socket: MasterSocket,
  { args, env, clock }: Wanted,
  signal: AbortSignal,
): Promise<Leftover | undefined> {
  const pid = await masterBehind(socket, clock, signal)
  if (pid === undefined) return undefined
  const words = commandLineOf(pid)
  if (words === undefined || !words.some((word) => word.startsWith(socket.path))) throw foreign(socket.path, pid)
  const sameArgs = words.slice(-args.length).join('\0') === args.join('\0')
  const environment = environmentOf(pid)
  const sameEnv = Object.entries(env).every(([name, value]) => (environment?.[name] ?? '') === value)
  return { pid, remedy: sameArgs && sameEnv ? 'adopt' : 'replace' }
}

/** A master that executes itself anew refuses for up to 30 ms; one that refuses longer has left only its socket behind. */
const REFUSED_MS = 200

async function masterBehind(socket: MasterSocket, clock: Clock, signal: AbortSignal): Promise<number | undefined> {
  const deadline = clock.elapsed() + REFUSED_MS
  for (;;) {
    try {
      return (await socket.processes(signal)).master.pid
    } catch (error) {
      const cause = error instanceof Error ? codeOf(error.cause) : undefined
      if (cause === 'ENOENT' || (cause === 'ECONNREFUSED' && clock.elapsed() > deadline)) return undefined
      if (cause !== 'ECONNREFUSED' && cause !== 'ECONNRESET') throw error
    }
    await clock.sleep(20, signal)
  }
}

function foreign(path: string, pid: number): HostlerError {
  return new HostlerError(
    'HAPROXY_LEFTOVER',
    `A HAProxy that this process cannot look after (process ${pid}, maybe of another container) answers at ${path}. Stop it, or give this Hostler another state folder, or set HAPROXY_MASTER_SOCKET=${path} to reload that one instead of starting one.`,
  )
}

export interface Port {
  /** Where to try; default 127.0.0.1. */
  readonly host?: string
  readonly port: number
}

const PROBE_MS = 300
/** Workers whose master was killed notice within milliseconds; they are given this many more looks. */
const LOOKS = 3

/** Throws HAPROXY_PORT_TAKEN when somebody answers at one of the ports: a second HAProxy would share it unnoticed. */
export async function assertPortsFree(ports: readonly Port[], clock: Clock, signal: AbortSignal): Promise<void> {
  let taken = ports
  for (let look = 0; look < LOOKS && taken.length > 0; look++) {
    if (look > 0) await clock.sleep(PROBE_MS, signal)
    const answers = await Promise.all(taken.map(async (port) => ((await answersAt(port)) ? port : undefined)))
    taken = answers.filter((port) => port !== undefined)
  }
  if (taken.length === 0) return
  const names = taken.map(({ port }) => port).join(', ')
  throw new HostlerError(
    'HAPROXY_PORT_TAKEN',
    `Port ${names} is answered by another program already, so HAProxy was not told to listen there too. Find it with \`ss -ltnp\` and stop it, or choose another port.`,
  )
}

function answersAt({ host = '127.0.0.1', port }: Port): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(PROBE_MS, () => settle(false))
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
  })
}
