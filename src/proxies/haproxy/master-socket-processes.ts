/** What `show proc` on a master socket tells. */
export interface Processes {
  readonly master: MasterProcess
  /** The worker that belongs to the last successful load; empty on 3.1+ after a failed reload (see `servingWorker`). */
  readonly workers: readonly WorkerProcess[]
  /** Workers that finish their last connections; on 3.1+ also the one that still serves after a failed reload. */
  readonly oldWorkers: readonly WorkerProcess[]
}

export interface MasterProcess {
  readonly pid: number
  /** Reloads tried since the master started, failed ones included. */
  readonly reloads: number
  /** Reloads that failed since the last one that succeeded (2.6, 3.0); 3.2 stops counting at 1. 0 after a success. */
  readonly failed: number
  readonly uptimeSeconds: number
  readonly version: string
}

export interface WorkerProcess {
  readonly pid: number
  /** Reloads tried since this worker started. */
  readonly reloads: number
  readonly uptimeSeconds: number
  readonly version: string
}

/**
 * Reads the answer to `show proc` as 2.6, 3.0 and 3.2 give it; undefined when it is something else:
 *
 *     #<PID>    <type>    <reloads>       <uptime>      <version>
 *     8823      master    3 [failed: 1]   0d00h00m38s   2.6.12-1+deb12u4
 *     # workers
 *     8826      worker    1               0d00h00m30s   2.6.12-1+deb12u4
 *     # old workers
 *     # programs
 */
export function parseProcesses(text: string): Processes | undefined {
  let master: MasterProcess | undefined
  const sections = new Map<string, WorkerProcess[]>()
  let section = ''
  for (const line of text.split('\n')) {
    const heading = /^#\s+(\S.*?)\s*$/.exec(line)
    if (heading?.[1] !== undefined) section = heading[1]
    const row = parseRow(line)
    if (row?.type === 'master') master = row.process
    else if (row?.type === 'worker') sections.set(section, [...(sections.get(section) ?? []), row.process])
  }
  if (master === undefined) return undefined
  return { master, workers: sections.get('workers') ?? [], oldWorkers: sections.get('old workers') ?? [] }
}

/** The worker that takes new connections: the youngest, and the one that has seen the fewest reloads. */
export function servingWorker({ workers, oldWorkers }: Processes): WorkerProcess | undefined {
  const candidates = workers.length > 0 ? workers : oldWorkers
  return [...candidates].sort((a, b) => a.reloads - b.reloads)[0]
}

const ROW = /^(\d+)\s+(master|worker)\s+(\d+)(?:\s+\[failed:\s*(\d+)\])?\s+(\d+d\d+h\d+m\d+s)(?:\s+(\S+))?\s*$/

function parseRow(line: string): { type: string; process: MasterProcess } | undefined {
  const match = ROW.exec(line)
  if (match === null) return undefined
  const [, pid, type = '', reloads, failed = '0', uptime = '', version = ''] = match
  return {
    type,
    process: {
      pid: Number(pid),
      reloads: Number(reloads),
      failed: Number(failed),
      uptimeSeconds: parseUptime(uptime),
      version,
    },
  }
}

function parseUptime(text: string): number {
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = text.match(/\d+/g)?.map(Number) ?? []
  return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
}
