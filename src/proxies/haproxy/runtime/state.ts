import { type Clock, systemClock } from '../../../lib/clock.js'
import { HostlerError } from '../../../lib/errors.js'
import type { RuntimeSession, RuntimeSocket } from './socket.js'
import { commandLine } from './socket-command.js'
import {
  type Activity,
  ASK_INFO,
  parseBackends,
  parseInfo,
  parseMap,
  parseServersState,
  parseStat,
  type WorkerIdentity,
} from './state-dumps.js'
import { isSameWorker, type Running, type WorkerKey } from './types.js'

export interface ReadOptions {
  /** Paths as the configuration writes them. */
  readonly maps: readonly string[]
  readonly clock?: Clock
}

/**
 * What HAProxy has now, all of it from one worker, which still takes new connections when it has been read. Throws what
 * the socket does, HAPROXY_STATE_UNREADABLE (a map that HAProxy does not know is one cause), and
 * HAPROXY_STATE_UNSTEADY when the worker was another one after every attempt.
 */
export async function readRunning(socket: RuntimeSocket, options: ReadOptions, signal: AbortSignal): Promise<Running> {
  const { maps, clock = systemClock } = options
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (tries > 0) await clock.sleep(RETRY_MS, signal)
    const running = await socket.session((session) => readOnce(session, maps), signal)
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

/** Traffic by backend, those without servers too, of the worker that a new connection reaches. */
export function readActivity(socket: RuntimeSocket, signal: AbortSignal): Promise<WorkerActivity> {
  return socket.session(async (session) => {
    const { pid, startedAt } = parseInfo(await session.ask(ASK_INFO))
    const backends = parseStat(await session.ask(SHOW_TRAFFIC))
    return { pid, ...(startedAt !== undefined && { startedAt }), backends }
  }, signal)
}

export interface WorkerActivity extends WorkerKey {
  readonly backends: ReadonlyMap<string, Activity>
}

/** Backends only: every proxy, rows of type 2, every server. */
export const SHOW_TRAFFIC = 'show stat -1 2 -1'

async function readOnce(session: RuntimeSession, paths: readonly string[]): Promise<Running> {
  const { version, pid, startedAt } = parseInfo(await session.ask(ASK_INFO))
  const backends = parseBackends(await session.ask('show backend'))
  const servers = parseServersState(await session.ask('show servers state'))
  const maps = new Map<string, ReadonlyMap<string, string>>()
  for (const path of paths) maps.set(path, parseMap(await session.ask(commandLine('show', 'map', path))))
  return { version, pid, ...(startedAt !== undefined && { startedAt }), backends, servers, maps }
}

function unsteady(path: string): HostlerError {
  return new HostlerError(
    'HAPROXY_STATE_UNSTEADY',
    `HAProxy's worker at ${path} was replaced each of ${MAX_TRIES} times that its state was read. Does something reload it all the time?`,
  )
}
