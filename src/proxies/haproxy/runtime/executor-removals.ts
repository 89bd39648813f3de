import type { Clock } from '../../../lib/clock.js'
import { messageOf } from '../../../lib/errors.js'
import type { Logger } from '../../../lib/logger.js'
import { createQuiet, type Quiet } from './executor-quiet.js'
import { type CommandKind, judge } from './replies.js'
import type { Reply, RuntimeSocket } from './socket.js'
import { commandLine } from './socket-command.js'
import { ASK_INFO, parseInfo } from './state-dumps.js'
import { isSameWorker, type WorkerKey } from './types.js'

/** What takes no new requests and is deleted when its last connection has gone. */
export interface PendingRemoval {
  readonly kind: 'server' | 'backend'
  readonly backend: string
  /** The backend of the files that it serves, where that has another name. */
  readonly serves?: string
  /** Of kind server. */
  readonly server?: string
  /** The worker that has it: another one knows nothing of this removal. */
  readonly worker: WorkerKey
  /** Milliseconds since the epoch. */
  readonly since: number
  /** HAProxy would delete it under requests that it does not count: see executor-quiet.ts. */
  readonly isCareful?: boolean
}

/**
 * The removals that wait for connections to end. One of them is asked for after the other over one connection at a time:
 * `wait … srv-removable` (3.0 and later) would hold a connection each, and a stats socket has ten.
 */
export interface Removals {
  readonly pending: ReadonlyMap<string, PendingRemoval>
  begin(removal: PendingRemoval): void
  /** It is wanted again; HAProxy deletes nothing that is not in maintenance, so that a race does no harm. */
  cancel(name: string): void
  /** Tries once more now; resolves when the removal is over or `ms` have passed. */
  ended(name: string, ms: number, signal: AbortSignal): Promise<boolean>
}

export interface RemovalOptions {
  readonly socket: RuntimeSocket
  readonly clock: Clock
  readonly log: Logger
  /** How long to go on. What is forgotten stays in maintenance until somebody asks again or reloads. */
  readonly giveUpAfterMs: number
  /** Ends the attempts; what is pending stays in maintenance. */
  readonly signal: AbortSignal
}

export const removalName = ({ backend, server }: { backend: string; server?: string }) =>
  server === undefined ? backend : `${backend}/${server}`

export const deletion = (removal: Pick<PendingRemoval, 'kind' | 'backend' | 'server'>) =>
  commandLine('del', removal.kind, removalName(removal))

/** `later`: it still has connections (a backend: servers or streams). */
export function deleted(kind: PendingRemoval['kind'], reply: Reply): 'yes' | 'later' | { readonly no: string } {
  const verdict = judge(`del-${kind}` satisfies CommandKind, reply.text)
  if (verdict.outcome === 'done') return 'yes'
  return STILL_IN_USE.test(verdict.text) ? 'later' : { no: verdict.text }
}

const STILL_IN_USE = /Server still has connections|Backend still has attached streams|Only a backend without server/

const FIRST_MS = 20
const SLOWEST_MS = 5000

export function createRemovals(options: RemovalOptions): Removals {
  const { clock, signal } = options
  const pending = new Map<string, PendingRemoval>()
  const quiet = createQuiet(clock)
  let running = false
  let delayMs = FIRST_MS

  // One at a time: a late `del server` would meet the server that was added in place of the removed one.
  let underWay: Promise<void> | undefined
  const attemptNow = () => {
    underWay ??= attempt(options, pending, quiet).finally(() => {
      underWay = undefined
    })
    return underWay
  }
  const attempts = async () => {
    while (pending.size > 0 && !signal.aborted) {
      await clock.sleep(delayMs, signal)
      delayMs = Math.min(delayMs * 2, SLOWEST_MS)
      await attemptNow()
    }
  }
  const start = () => {
    delayMs = FIRST_MS
    if (running || signal.aborted) return
    running = true
    void attempts()
      .catch((error) => signal.aborted || options.log.warn({ err: error }, 'removals are no longer waited for'))
      .finally(() => {
        running = false
      })
  }

  return {
    pending,
    begin(removal) {
      pending.set(removalName(removal), removal)
      start()
    },
    cancel: (name) => void pending.delete(name),
    async ended(name, ms, runSignal) {
      const deadline = clock.elapsed() + ms
      for (let waitMs = 0; pending.has(name); waitMs = FIRST_MS) {
        if (clock.elapsed() + waitMs > deadline) return false
        if (waitMs > 0) await clock.sleep(waitMs, runSignal)
        await attemptNow()
      }
      return true
    },
  }
}

/** Asks for all of them once. An error of the socket leaves them pending: the next attempt may go better. */
async function attempt(options: RemovalOptions, pending: Map<string, PendingRemoval>, quiet: Quiet): Promise<void> {
  const { socket, log, signal } = options
  try {
    await socket.session(async (session) => {
      const worker = parseInfo(await session.ask(ASK_INFO))
      for (const [name, removal] of pending) {
        if (!isSameWorker(removal.worker, worker)) forget(name, removal, 'the worker was replaced')
      }
      const asked = await quiet.filter(session, [...pending])
      const replies = await session.askAll(asked.map(([, removal]) => deletion(removal)))
      for (const [i, [name, removal]] of asked.entries()) {
        const reply = replies[i]
        if (reply !== undefined) settle(name, removal, reply)
      }
      const names = new Set(asked.map(([name]) => name))
      for (const [name, removal] of pending) if (!names.has(name)) settleLater(name, removal)
    }, signal)
  } catch (error) {
    if (!signal.aborted) log.debug({ error: messageOf(error) }, 'removals could not be asked for')
  }

  function settle(name: string, removal: PendingRemoval, reply: Reply) {
    const ms = options.clock.now() - removal.since
    const answer = deleted(removal.kind, reply)
    if (answer === 'yes') {
      if (pending.get(name) === removal) pending.delete(name)
      log.info({ ...subject(removal), ms }, `${removal.kind} removed`)
    } else if (answer === 'later') settleLater(name, removal)
    else forget(name, removal, answer.no)
  }
  function settleLater(name: string, removal: PendingRemoval) {
    if (options.clock.now() - removal.since > options.giveUpAfterMs) forget(name, removal, 'it is still in use')
  }
  function forget(name: string, removal: PendingRemoval, why: string) {
    if (pending.get(name) === removal) pending.delete(name)
    log.debug({ ...subject(removal), why }, `${removal.kind} is no longer waited for`)
  }
}

const subject = ({ backend, serves, server }: PendingRemoval) =>
  serves === undefined ? { backend, server } : { backend: serves, spare: backend, server }
