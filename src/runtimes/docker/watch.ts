import type { Logger } from 'pino'
import { createBackoff } from '../../lib/backoff.js'
import type { Clock } from '../../lib/clock.js'
import { type EngineEvent, parseEvent } from '../../lib/docker/events.js'
import { readLines } from '../../lib/docker/lines.js'
import { messageOf } from '../../lib/errors.js'
import type { WorkloadEvent } from '../runtime.js'
import type { Engine, EngineRequest } from './engine.js'
import type { Look } from './look.js'
import type { Timeouts } from './timeouts.js'

interface WatchDeps {
  readonly engine: Engine
  readonly look: Look
  readonly timeouts: Timeouts
  readonly clock: Clock
  readonly log: Logger
}

/** Podman calls `die` and `destroy` `died` and `remove`. */
const FOLLOWED = [
  ...['create', 'start', 'die', 'died', 'pause', 'unpause', 'health_status', 'destroy', 'remove'],
] as const

const MAX_EVENT_LENGTH = 1 << 20
const MAX_DELAY_MS = 5000

/** One stream of events after the other, until aborted. */
export async function watchContainers(
  deps: WatchDeps,
  happened: (event: WorkloadEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const backoff = createBackoff({ firstMs: 100, maxMs: MAX_DELAY_MS })
  let told = false
  while (!signal.aborted) {
    const startedAt = deps.clock.elapsed()
    try {
      for await (const event of follow(deps, signal)) {
        if (signal.aborted) return
        told = false
        happened(event)
      }
    } catch (error) {
      if (signal.aborted) return
      if (!told) deps.log.warn({ why: messageOf(error) }, 'the stream of events ended; connecting again')
      told = true
    }
    if (deps.clock.elapsed() - startedAt > MAX_DELAY_MS) backoff.reset()
    await deps.clock.sleep(backoff.next(), signal).catch(() => undefined)
  }
}

async function* follow({ engine, look, timeouts }: WatchDeps, signal: AbortSignal): AsyncGenerator<WorkloadEvent> {
  const request: EngineRequest = {
    ...{ what: 'following the events', method: 'GET', path: '/events', timeoutMs: timeouts.connectMs },
    query: { filters: { type: ['container'], event: [...FOLLOWED] } },
  }
  const session = new AbortController()
  const end = () => session.abort(signal.reason)
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  try {
    const stream = await engine.stream(request, session.signal)
    if ('complaint' in stream) throw engine.refusal(request, stream)
    // Notices a host that went away without a word.
    stream.socket.setKeepAlive(true, 15_000)
    for await (const line of readLines(stream as AsyncIterable<Buffer>, MAX_EVENT_LENGTH)) {
      const told = line === undefined ? undefined : tryParse(line)
      const event = told && (toWorkloadEvent(told) ?? (await readHealth(told, look, session.signal)))
      if (event) yield event
    }
  } finally {
    signal.removeEventListener('abort', end)
    session.abort()
  }
}

const MEANINGS: Readonly<Record<string, WorkloadEvent['what']>> = {
  create: 'created',
  start: 'started',
  die: 'ended',
  pause: 'paused',
  unpause: 'unpaused',
  'health_status: healthy': 'healthy',
  'health_status: unhealthy': 'unhealthy',
  destroy: 'removed',
}

function toWorkloadEvent({ id, action, detail, attributes }: EngineEvent): WorkloadEvent | undefined {
  const word = detail === '' ? action : `${action}: ${detail}`
  if (!Object.hasOwn(MEANINGS, word)) return undefined
  const what = MEANINGS[word] as WorkloadEvent['what']
  const code = attributes['exitCode'] ?? attributes['containerExitCode'] ?? ''
  return { id, what, ...(what === 'ended' && /^\d{1,10}$/.test(code) && { exitCode: Number(code) }) }
}

/** Podman tells that there was a check; what it says of the result is the one before (4.3), so that is looked up. */
async function readHealth(event: EngineEvent, look: Look, signal: AbortSignal): Promise<WorkloadEvent | undefined> {
  if (event.action !== 'health_status' || event.detail !== '') return undefined
  const health = (await look.inspect(event.id, signal).catch(() => undefined))?.workload.health
  return health === 'healthy' || health === 'unhealthy' ? { id: event.id, what: health } : undefined
}

function tryParse(line: string): EngineEvent | undefined {
  try {
    return parseEvent(line)
  } catch {
    return undefined
  }
}
