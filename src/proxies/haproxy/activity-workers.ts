import { existsSync } from 'node:fs'
import { HostlerError } from '../../lib/errors.js'
import type { MasterSocket } from './master-socket.js'
import type { Reply, RuntimeSocket } from './runtime/socket.js'
import { readActivity, SHOW_TRAFFIC, type WorkerActivity } from './runtime/state.js'
import { type Activity, parseStat } from './runtime/state-dumps.js'

/** Asks HAProxy's workers for their traffic: the one that serves, and those that only finish what they have. */
export interface WorkerReader {
  /** By the stats socket. `known`: the last answer, whose figures are replaced where it is of the same worker. */
  serving(signal: AbortSignal, known?: WorkerActivity): Promise<WorkerReading>
  /**
   * By the master's socket, which alone leads to workers that were replaced; a silent WebSocket keeps one alive for as
   * long as it lasts. Undefined: there is no such socket here, so that nobody can tell.
   */
  old(serving: number, signal: AbortSignal): Promise<WorkerReading[] | undefined>
}

export interface WorkerReading extends WorkerActivity {
  /** Asks the same worker for more. */
  ask(command: string, signal: AbortSignal): Promise<Reply>
}

export interface WorkerReaderInputs {
  readonly stats: RuntimeSocket
  readonly master: MasterSocket
}

export function createWorkerReader({ stats, master }: WorkerReaderInputs): WorkerReader {
  /** Undefined when it ended meanwhile. */
  async function readOld(pid: number, signal: AbortSignal): Promise<Map<string, Activity> | undefined> {
    try {
      return parseStat(await ask(pid, SHOW_TRAFFIC, signal))
    } catch (error) {
      signal.throwIfAborted()
      const { oldWorkers } = await master.processes(signal)
      if (oldWorkers.some((worker) => worker.pid === pid)) throw error
      return undefined
    }
  }

  async function ask(pid: number, command: string, signal: AbortSignal): Promise<Reply> {
    const text = await master.command(`@!${pid} ${command}`, signal)
    // An empty line ends every reply: without it, the worker has ended in the middle.
    if (!text.endsWith('\n\n')) throw cutOff(pid, command)
    return { command, text }
  }

  return {
    async serving(signal, known) {
      return { ...(await readActivity(stats, signal, known)), ask: (command, until) => stats.ask(command, until) }
    },
    async old(serving, signal) {
      if (!existsSync(master.path)) return undefined
      const { oldWorkers } = await master.processes(signal)
      const found: WorkerReading[] = []
      for (const { pid } of oldWorkers) {
        // After a failed reload, 3.1 and later list the worker that serves among the old ones.
        const backends = pid === serving ? undefined : await readOld(pid, signal)
        if (backends) found.push({ pid, backends, ask: (command, until) => ask(pid, command, until) })
      }
      return found
    },
  }
}

const cutOff = (pid: number, command: string) =>
  new HostlerError('HAPROXY_SOCKET_CLOSED', `HAProxy's worker ${pid} ended while it answered \`${command}\`.`)
