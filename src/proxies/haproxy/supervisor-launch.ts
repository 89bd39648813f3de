import type { Clock } from '../../lib/clock.js'
import { HostlerError } from '../../lib/errors.js'
import type { MasterSocket } from './master-socket.js'
import { servingWorker } from './master-socket-processes.js'
import { type HaproxyProcess, type SpawnOptions, spawnProcess } from './supervisor-process.js'

export interface Launch extends SpawnOptions {
  readonly socket: MasterSocket
  /** The master that the new one takes the place of: it answers at the same socket until the new one does. */
  readonly previous: number | undefined
  readonly timeoutMs: number
  readonly clock: Clock
}

/**
 * Starts HAProxy and returns once a worker of it serves; on failure nothing of it is left.
 *
 * Throws HAPROXY_MISSING or HAPROXY_START_FAILED.
 */
export async function launchHaproxy(
  launch: Launch,
  signal: AbortSignal,
): Promise<{ process: HaproxyProcess; workerPid: number }> {
  const mark = launch.output.mark()
  const process = await spawnProcess(launch)
  const waiting = new AbortController()
  const onAbort = () => waiting.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    const died = process.exited.then(async (reason) => {
      await launch.clock.sleep(OUTPUT_LAG_MS)
      throw startFailed(launch.bin, reason, launch.output.since(mark))
    })
    const workerPid = await Promise.race([untilServing(launch, waiting.signal), died])
    died.catch(() => undefined)
    return { process, workerPid }
  } catch (error) {
    process.signal('SIGKILL')
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    waiting.abort()
  }
}

/** What HAProxy wrote last may still be in the pipe. */
export const OUTPUT_LAG_MS = 30

/** 3.1 and later list a worker before it serves; one that answers a command does serve. */
async function untilServing(launch: Launch, signal: AbortSignal): Promise<number> {
  const { socket, clock } = launch
  const deadline = clock.elapsed() + launch.timeoutMs
  for (let delayMs = 5; ; delayMs = Math.min(delayMs * 1.5, 100)) {
    const worker = await servingNow(socket, launch.previous, signal)
    if (worker !== undefined) return worker
    if (clock.elapsed() > deadline) throw startTimedOut(launch.bin, launch.timeoutMs)
    await clock.sleep(delayMs, signal)
  }
}

async function servingNow(socket: MasterSocket, previous: number | undefined, signal: AbortSignal) {
  try {
    const processes = await socket.processes(signal)
    const worker = servingWorker(processes)
    if (processes.master.pid === previous || worker === undefined) return undefined
    const reply = await socket.command(`@!${worker.pid} show version`, signal)
    return reply.trim() !== '' && !reply.includes("Can't find") ? worker.pid : undefined
  } catch {
    // Refused or missing until HAProxy has come up; whether it ever does is for the deadline to say.
    signal.throwIfAborted()
    return undefined
  }
}

function startFailed(bin: string, reason: string, said: string): HostlerError {
  const words = said.split('\n').slice(0, 5).join('; ').replace(/\.$/, '')
  return new HostlerError(
    'HAPROXY_START_FAILED',
    `\`${bin}\` ended while starting (${reason})${words === '' ? '' : `: ${words}`}. ${remedyFor(words)}`,
  )
}

/** The words are those of HAProxy's `Binding [FILE:LINE] for frontend NAME: cannot bind socket (…)`. */
function remedyFor(words: string): string {
  if (words.includes('(Permission denied)'))
    return 'Run as root, grant CAP_NET_BIND_SERVICE, or choose a port above 1023 (HOSTLER_HTTP_PORT, HOSTLER_HTTPS_PORT).'
  if (words.includes('(Address already in use)'))
    return 'Find who listens there with `ss -ltnp` and stop it, or choose another port.'
  return 'Mend what it names; `hostler check` shows the whole verdict.'
}

function startTimedOut(bin: string, ms: number): HostlerError {
  return new HostlerError(
    'HAPROXY_START_FAILED',
    `\`${bin}\` had no worker that serves ${ms} ms after it was started, and was ended. See its log.`,
  )
}
