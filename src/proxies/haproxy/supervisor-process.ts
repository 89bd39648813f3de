import { readFileSync } from 'node:fs'
import { execa } from 'execa'
import type { Clock } from '../../lib/clock.js'
import { codeOf, messageOf } from '../../lib/errors.js'
import { cannotRun } from './errors.js'
import type { HaproxyOutput } from './supervisor-output.js'

/** A HAProxy master that we look after: a child of ours, or one that an earlier Hostler left behind. */
export interface HaproxyProcess {
  readonly pid: number
  readonly adopted: boolean
  /** The arguments that it runs with; its reloads cannot change them. */
  readonly args: readonly string[]
  /** Resolves when it is gone, with the reason: `exit code 1`, `SIGKILL`. */
  readonly exited: Promise<string>
  /** Sends a signal; nothing when it is gone. */
  signal(name: 'SIGUSR1' | 'SIGTERM' | 'SIGKILL'): void
}

/** HAProxy hands these to itself when it executes itself anew; inherited from elsewhere they would mislead it. */
const FOREIGN_STATE: Readonly<Record<string, string | undefined>> = {
  HAPROXY_MWORKER_REEXEC: undefined,
  HAPROXY_MWORKER_WAIT_ONLY: undefined,
  HAPROXY_PROCESSES: undefined,
}

export interface SpawnOptions {
  readonly bin: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Where HAProxy's standard output goes, i.e. `log stdout`: as it stands to ours, or line by line to our log. */
  readonly stdout: 'inherit' | 'log'
  readonly output: HaproxyOutput
}

/**
 * A child in a session of its own: a terminal's Ctrl-C must reach it through us, as a soft stop. Throws HAPROXY_MISSING when
 * the program cannot be run.
 */
export async function spawnProcess(options: SpawnOptions): Promise<HaproxyProcess> {
  const child = execa(options.bin, [...options.args], {
    env: { ...FOREIGN_STATE, ...options.env },
    stdin: 'ignore',
    stdout: options.stdout === 'inherit' ? 'inherit' : 'pipe',
    stderr: 'pipe',
    buffer: false,
    reject: false,
    detached: true,
    cleanup: false,
  })
  const { pid } = child
  if (pid === undefined) throw cannotRun(options.bin, await child)
  const exited = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })
  follow(options.output, child.iterable({ from: 'stderr' }))
  if (options.stdout === 'log') follow(options.output, child.iterable({ from: 'stdout' }))
  return { pid, adopted: false, args: options.args, exited, signal: (name) => send(pid, name) }
}

/** The stream of a process that is gone may break rather than end. */
function follow(output: HaproxyOutput, lines: AsyncIterable<string>): void {
  output.follow(lines).catch(() => undefined)
}

const LIFE_POLL_MS = 200

/** Looks after a process that is no child of ours, by asking the system whether it still lives. */
export function adoptProcess(pid: number, args: readonly string[], clock: Clock): HaproxyProcess {
  const exited = (async () => {
    while (isAlive(pid)) await clock.sleep(LIFE_POLL_MS)
    return 'gone'
  })()
  return { pid, adopted: true, args, exited, signal: (name) => send(pid, name) }
}

/** A zombie does not live: in a container nobody may collect it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false
  }
  const stat = readProc(pid, 'stat')
  return stat === undefined || !/^\d+ \(.*\) [ZX]/s.test(stat)
}

/** The words of a process's command line; undefined where the system does not tell (other namespace, no /proc). */
export function commandLineOf(pid: number): string[] | undefined {
  return readProc(pid, 'cmdline')?.split('\0').slice(0, -1)
}

/** The environment that a process was started with; undefined where the system does not tell. */
export function environmentOf(pid: number): Record<string, string> | undefined {
  const entries = readProc(pid, 'environ')?.split('\0').filter(Boolean)
  return entries && Object.fromEntries(entries.map((entry) => splitOnce(entry)))
}

function splitOnce(entry: string): [string, string] {
  const at = entry.indexOf('=')
  return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)]
}

function readProc(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return undefined
  }
}

function send(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw new Error(`sending ${name} to HAProxy (${pid}) failed: ${messageOf(error)}`)
  }
}
