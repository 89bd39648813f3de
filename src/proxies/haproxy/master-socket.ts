import { connect } from 'node:net'
import { type Clock, systemClock } from '../../lib/clock.js'
import { codeOf, HostlerError } from '../../lib/errors.js'
import { type Processes, parseProcesses, servingWorker } from './master-socket-processes.js'
import { socketTimedOut, socketTooLong, socketUnreachable } from './socket-errors.js'

/** A reload that was made and looked at. `ok: false`: HAProxy refused the files and serves on with those it had. */
export interface ReloadResult {
  readonly ok: boolean
  /** What HAProxy said, where it says it; bounded. */
  readonly log?: string
  readonly ms: number
  /** The worker that takes new connections now; undefined where the way of reloading cannot tell. */
  readonly workerPid?: number
}

/**
 * The socket that `haproxy -W -S PATH` opens. One command per connection.
 *
 * Measured on 2.6.12, 3.0.11 and 3.2.26:
 * - The reply ends with the stream only when the client has shut down its own side first: without that, `show proc` never ends.
 * - 2.6 answers `reload` with nothing and executes itself anew at once. For 5 to 30 ms the socket refuses connections; with a
 *   port that cannot be bound, connections hang for the 2 s of its attempts and are then reset. Afterwards `show proc`
 *   counts one more reload, and `[failed: n]` is 0 only when it succeeded.
 * - 2.7 and later hold the connection until the new worker serves (20 ms) or has failed (2 s for a port), then answer
 *   `Success=1` or `Success=0`, `--`, and the start-up log.
 * - 3.1 and later list a worker before it serves, refuse a reload meanwhile (`Another reload is still in progress.`), and
 *   after a failed reload list the serving worker under `# old workers`.
 */
export interface MasterSocket {
  readonly path: string
  /** The reply to one command. Throws HostlerError: HAPROXY_SOCKET_UNREACHABLE, _TIMEOUT, _TOO_LONG. */
  command(text: string, signal: AbortSignal): Promise<string>
  /** The same, to the worker that serves. */
  workerCommand(text: string, signal: AbortSignal): Promise<string>
  /** Throws as `command` does, _CLOSED for no reply at all, and HAPROXY_SOCKET_GARBAGE when what answers is no master. */
  processes(signal: AbortSignal): Promise<Processes>
  /** The same, and waits while the master executes itself anew because somebody reloads. */
  settled(signal: AbortSignal): Promise<Processes>
  /**
   * Reloads and returns only when a new worker serves or has failed to. Not to be called twice at once: HAProxy mixes
   * parallel reloads up. Throws HAPROXY_RELOAD_UNVERIFIED when the outcome stayed unknown.
   */
  reload(signal: AbortSignal): Promise<ReloadResult>
}

export interface MasterSocketOptions {
  /** How long a whole reload may take. */
  readonly timeoutMs: number
  /** How long any other command may take. */
  readonly commandTimeoutMs?: number
  readonly maxReplyBytes?: number
  readonly clock?: Clock
}

export function createMasterSocket(path: string, options: MasterSocketOptions): MasterSocket {
  const { timeoutMs, maxReplyBytes = 64 << 20, clock = systemClock } = options
  const commandTimeoutMs = options.commandTimeoutMs ?? Math.min(timeoutMs, 2000)
  const ask = (text: string, ms: number, signal: AbortSignal) =>
    exchange({ path, text, timeoutMs: ms, maxReplyBytes, signal })

  const socket: MasterSocket = {
    path,
    command: (text, signal) => ask(text, commandTimeoutMs, signal),
    async workerCommand(text, signal) {
      const worker = servingWorker(await socket.processes(signal))
      if (worker === undefined) throw noWorker(path)
      return ask(`@!${worker.pid} ${text}`, commandTimeoutMs, signal)
    },
    async processes(signal) {
      const reply = await ask('show proc', commandTimeoutMs, signal)
      const processes = parseProcesses(reply)
      if (processes !== undefined) return processes
      throw reply === '' ? closed(path) : notAMaster(path, reply)
    },
    settled: (signal) => settled({ socket, clock, signal }, REFUSED_MS),
    reload: (signal) => verifiedReload({ socket, ask, timeoutMs, clock, signal }),
  }
  return socket
}

interface ReloadRun {
  readonly socket: MasterSocket
  readonly ask: (text: string, ms: number, signal: AbortSignal) => Promise<string>
  readonly timeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
}

async function verifiedReload(run: ReloadRun): Promise<ReloadResult> {
  const { socket, clock, signal } = run
  const started = clock.elapsed()
  const deadline = started + run.timeoutMs
  const before = await settled(run, Math.min(run.timeoutMs, REFUSED_MS))
  const reply = await poll(run, deadline, () => sendReload(run, deadline))
  const verdict = parseReloadReply(reply)
  if (verdict === undefined && reply.trim() !== '') throw notAMaster(socket.path, reply)
  const after = await poll(run, deadline, async () => {
    const now = await socket.processes(signal)
    return now.master.reloads > before.master.reloads || now.master.pid !== before.master.pid ? now : undefined
  })
  const worker = servingWorker(after)
  const known = new Set([...before.workers, ...before.oldWorkers].map(({ pid }) => pid))
  const renewed = worker !== undefined && !known.has(worker.pid) && after.master.failed === 0
  return {
    ok: verdict?.ok ?? renewed,
    ms: Math.round(clock.elapsed() - started),
    ...(verdict !== undefined && { log: verdict.log }),
    ...(worker !== undefined && { workerPid: worker.pid }),
  }
}

/** How long a master may refuse before it counts as gone; it does so while it executes itself anew for somebody else. */
const REFUSED_MS = 5000

/** A socket that is not there at all is not waited for. */
async function settled(
  { socket, clock, signal }: Pick<ReloadRun, 'socket' | 'clock' | 'signal'>,
  timeoutMs: number,
): Promise<Processes> {
  const deadline = clock.elapsed() + timeoutMs
  for (;;) {
    try {
      return await socket.processes(signal)
    } catch (error) {
      signal.throwIfAborted()
      if (!isBusy(error) || clock.elapsed() + FIRST_POLL_MS > deadline) throw error
    }
    await clock.sleep(FIRST_POLL_MS, signal)
  }
}

/** Refused, reset, or closed without a word: as a master does that executes itself anew. */
const isBusy = (error: unknown): boolean =>
  codeOf(error) === 'HAPROXY_SOCKET_CLOSED' ||
  (error instanceof Error && ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(codeOf(error.cause) ?? ''))

/** Undefined when the master did not take the command now and may be asked again. */
async function sendReload({ ask, clock, signal }: ReloadRun, deadline: number): Promise<string | undefined> {
  try {
    const reply = await ask('reload', Math.max(1, deadline - clock.elapsed()), signal)
    return reply.includes('Another reload is still in progress') ? undefined : reply
  } catch (error) {
    signal.throwIfAborted()
    // A connection that broke may have delivered the command: look at what happened rather than send it twice.
    if (error instanceof HostlerError && codeOf(error.cause) !== 'ECONNREFUSED') return ''
    throw error
  }
}

const FIRST_POLL_MS = 5
const SLOWEST_POLL_MS = 100

/** Asks until there is an answer: while HAProxy executes itself anew, its socket refuses, hangs or resets. */
async function poll<T>(run: ReloadRun, deadline: number, probe: () => Promise<T | undefined>): Promise<T> {
  let last: unknown
  for (let delayMs = FIRST_POLL_MS; ; delayMs = Math.min(delayMs * 1.5, SLOWEST_POLL_MS)) {
    try {
      const answer = await probe()
      if (answer !== undefined) return answer
    } catch (error) {
      run.signal.throwIfAborted()
      last = error
    }
    if (run.clock.elapsed() + delayMs > deadline) throw unverified(run, last)
    await run.clock.sleep(delayMs, run.signal)
  }
}

const MAX_LOG = 16_384

/** `Success=1`, `--`, then the start-up log. Undefined when the reply does not say (2.6: it is empty). */
export function parseReloadReply(reply: string): { ok: boolean; log: string } | undefined {
  const match = /^Success=([01])[^\n]*(?:\n--(?:\n|$))?([\s\S]*)$/.exec(reply.trimStart())
  return match === null ? undefined : { ok: match[1] === '1', log: (match[2] ?? '').trim().slice(0, MAX_LOG) }
}

interface Exchange {
  readonly path: string
  readonly text: string
  readonly timeoutMs: number
  readonly maxReplyBytes: number
  readonly signal: AbortSignal
}

async function exchange({ path, text, timeoutMs, maxReplyBytes, signal }: Exchange): Promise<string> {
  signal.throwIfAborted()
  const socket = connect(path)
  const onAbort = () => socket.destroy(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
  signal.addEventListener('abort', onAbort, { once: true })
  const timer = setTimeout(() => socket.destroy(socketTimedOut(path, text, timeoutMs)), timeoutMs)
  try {
    socket.end(`${text}\n`)
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of socket) {
      bytes += (chunk as Buffer).length
      if (bytes > maxReplyBytes) throw socketTooLong(path, text, maxReplyBytes)
      chunks.push(chunk as Buffer)
    }
    return Buffer.concat(chunks).toString('utf8')
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof HostlerError ? error : socketUnreachable(path, text, '-W -S PATH', error)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    socket.destroy()
  }
}

function closed(path: string): HostlerError {
  return new HostlerError(
    'HAPROXY_SOCKET_CLOSED',
    `HAProxy's master closed the connection at ${path} and said nothing. Is it the socket that \`-S\` opened, and does that HAProxy run?`,
  )
}

function notAMaster(path: string, reply: string): HostlerError {
  return new HostlerError(
    'HAPROXY_SOCKET_GARBAGE',
    `What answers at ${path} does not speak as HAProxy's master ("${printable(reply).slice(0, 120)}"). Is it the socket that \`-S\` opened, with level admin, and not a stats socket?`,
  )
}

function noWorker(path: string): HostlerError {
  return new HostlerError(
    'HAPROXY_NO_WORKER',
    `The HAProxy behind ${path} has no worker that serves. See its log for the reason.`,
  )
}

function unverified(run: ReloadRun, cause: unknown): HostlerError {
  return new HostlerError(
    'HAPROXY_RELOAD_UNVERIFIED',
    `HAProxy was told to reload at ${run.socket.path}, and ${run.timeoutMs} ms later it still cannot be told whether it did. See its log; the reload is tried again.`,
    { cause },
  )
}

const printable = (text: string) => text.replace(/[^\x20-\x7e]+/g, ' ').trim()
