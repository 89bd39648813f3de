import { type Clock, systemClock } from '../../../lib/clock.js'
import { HostlerError } from '../../../lib/errors.js'
import type { Known } from './known-state.js'
import { isAtLeast } from './sections-server-options.js'
import type { Reply, RuntimeSession, RuntimeSocket } from './socket.js'
import { commandLine } from './socket-command.js'
import {
  type Activity,
  ASK_INFO,
  parseBackends,
  parseCertificates,
  parseCrtList,
  parseFingerprint,
  parseInfo,
  parseMap,
  parseServersState,
  parseStat,
  type WorkerIdentity,
} from './state-dumps.js'
import { isSameWorker, type Running, type RunningCertificates, type WorkerKey } from './types.js'

export interface ReadOptions {
  /** Paths as the configuration writes them. */
  readonly maps: readonly string[]
  readonly certificates?: CertificateQuestions | undefined
  /** What need not be asked for again as long as it is this worker. */
  readonly known?: Known | undefined
  readonly clock?: Clock
}

export interface CertificateQuestions {
  readonly lists: readonly string[]
  /** Of which the fingerprint is wanted. */
  readonly paths: readonly string[]
}

/**
 * What HAProxy has now, all of it from one worker, which still takes new connections when it has been read. Throws what
 * the socket does, HAPROXY_STATE_UNREADABLE (a map that HAProxy does not know is one cause), and
 * HAPROXY_STATE_UNSTEADY when the worker was another one after every attempt.
 */
export async function readRunning(socket: RuntimeSocket, options: ReadOptions, signal: AbortSignal): Promise<Running> {
  const { clock = systemClock } = options
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (tries > 0) await clock.sleep(RETRY_MS, signal)
    const running = await socket.session((session) => readOnce(session, options), signal)
    const after = await readWorker(socket, signal)
    if (isSameWorker(after, running) && !after.stopping) return running
  }
  throw unsteady(socket.path)
}

const MAX_TRIES = 10
const RETRY_MS = 20

/** The worker that a new connection reaches. */
export async function readWorker(socket: RuntimeSocket, signal: AbortSignal): Promise<WorkerIdentity> {
  return parseInfo(await socket.ask(ASK_INFO, signal))
}

/**
 * Traffic by backend, those without servers too, of the worker that a new connection reaches.
 * @param known what was read last; where it is of the same worker, its figures are replaced
 */
export function readActivity(
  socket: RuntimeSocket,
  signal: AbortSignal,
  known?: WorkerActivity,
): Promise<WorkerActivity> {
  return socket.session(async (session) => {
    const { pid, startedAt } = parseInfo(await session.ask(ASK_INFO))
    const worker = { pid, ...(startedAt !== undefined && { startedAt }) }
    const before = known && isSameWorker(known, worker) ? known.backends : undefined
    return { ...worker, backends: parseStat(await session.ask(SHOW_TRAFFIC), before) }
  }, signal)
}

export interface WorkerActivity extends WorkerKey {
  readonly backends: Map<string, Activity>
}

/** Backends only: every proxy, rows of type 2, every server. */
export const SHOW_TRAFFIC = 'show stat -1 2 -1'

async function readOnce(session: RuntimeSession, options: ReadOptions): Promise<Running> {
  const worker = parseInfo(await session.ask(ASK_INFO))
  const { version, pid, startedAt } = worker
  const known = options.known && isSameWorker(options.known.worker, worker) ? options.known : undefined
  // Until 3.4 a worker has the backends that it loaded and no others.
  const isFixed = !isAtLeast(version, 3, 4)
  const backends = known && isFixed ? known.backends : parseBackends(await session.ask('show backend'))
  const servers = known
    ? await readTouched(session, known, backends)
    : parseServersState(await session.ask('show servers state'))
  const maps = new Map<string, ReadonlyMap<string, string>>()
  for (const path of options.maps) {
    maps.set(path, known?.maps.get(path) ?? parseMap(await session.ask(commandLine('show', 'map', path))))
  }
  const certificates = options.certificates && (await readCertificates(session, options.certificates))
  return {
    version,
    pid,
    ...(startedAt !== undefined && { startedAt }),
    backends,
    servers,
    maps,
    ...(certificates && { certificates }),
  }
}

async function readTouched(session: RuntimeSession, { servers, touched }: Known, backends: ReadonlySet<string>) {
  const all = new Map(servers)
  for (const backend of touched) all.delete(backend)
  const asked = [...touched].filter((backend) => backends.has(backend))
  const replies = await session.askAll(asked.map((backend) => commandLine('show', 'servers', 'state', backend)))
  for (const reply of replies) for (const [backend, found] of parseServersState(reply)) all.set(backend, found)
  return all
}

async function readCertificates(
  session: RuntimeSession,
  { lists, paths }: CertificateQuestions,
): Promise<RunningCertificates> {
  const known = parseCertificates(await session.ask('show ssl cert'))
  const shown = await session.askAll([
    ...lists.map((list) => commandLine('show', 'ssl', 'crt-list', '-n', list)),
    ...paths.map((path) => commandLine('show', 'ssl', 'cert', path)),
  ])
  const found = <T>(keys: readonly string[], start: number, read: (key: string, reply: Reply) => T | undefined) =>
    new Map(
      keys.flatMap((key, index): [string, T][] => {
        const reply = shown[start + index]
        const value = reply && read(key, reply)
        return value === undefined ? [] : [[key, value]]
      }),
    )
  return {
    known,
    lists: found(lists, 0, parseCrtList),
    prints: found(paths, lists.length, (_, reply) => parseFingerprint(reply)),
  }
}

function unsteady(path: string): HostlerError {
  return new HostlerError(
    'HAPROXY_STATE_UNSTEADY',
    `HAProxy's worker at ${path} was replaced each of ${MAX_TRIES} times that its state was read. Does something reload it all the time?`,
  )
}
