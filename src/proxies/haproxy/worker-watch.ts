import type { Logger } from '../../lib/logger.js'
import type { MasterSocket } from './master-socket.js'
import { type Processes, servingWorker, type WorkerProcess } from './master-socket-processes.js'

/** Which of HAProxy's workers serves, and which ones long connections keep alive, each with its whole memory. */
export interface WorkerWatch {
  /** Asks the master, and waits while it executes itself anew. @returns the process that serves, or is about to */
  look(signal: AbortSignal): Promise<number | undefined>
  /** What the last look has shown. */
  describe(): Record<string, number>
}

export interface WorkerWatchInputs {
  readonly master: MasterSocket
  /** How many old workers HAProxy lets live; 0: any number. */
  readonly limit: number
  readonly log: Logger
}

/** Where there is no limit, a worker that has outlived so many reloads is worth a word. */
const MANY_RELOADS = 50

export function createWorkerWatch({ master, limit, log }: WorkerWatchInputs): WorkerWatch {
  const told = new Set<number>()
  let last: { serving: WorkerProcess | undefined; old: readonly WorkerProcess[] } | undefined

  /** Before HAProxy ends it with its connections, if it does. */
  function tell(old: readonly WorkerProcess[]): void {
    for (const pid of told) if (!old.some((worker) => worker.pid === pid)) told.delete(pid)
    for (const { pid, reloads, uptimeSeconds } of old) {
      if (told.has(pid) || reloads * 2 < (limit || MANY_RELOADS)) continue
      told.add(pid)
      const fields = { worker: pid, reloads, seconds: uptimeSeconds, ...(limit > 0 && { limit }) }
      log.warn(fields, 'an old worker of HAProxy still has connections, and keeps its whole memory for them')
    }
  }

  function split(processes: Processes) {
    const serving = servingWorker(processes)
    // After a failed reload, 3.1 and later list the worker that serves among the old ones.
    return { serving, old: processes.oldWorkers.filter(({ pid }) => pid !== serving?.pid) }
  }

  return {
    async look(signal) {
      last = split(await master.settled(signal))
      tell(last.old)
      return last.serving?.pid
    },
    describe: () => ({
      ...(last?.serving && { worker: last.serving.pid }),
      ...(last && { 'old workers': last.old.length }),
    }),
  }
}
