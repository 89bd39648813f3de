import type { Logger } from 'pino'
import { createBackoff } from '../../lib/backoff.js'
import type { Clock } from '../../lib/clock.js'
import { type EngineEvent, parseEvent } from '../../lib/docker/events.js'
import { readLines } from '../../lib/docker/lines.js'
import { HostlerError } from '../../lib/errors.js'
import type { Instance } from '../../model/instance.js'
import type { SourceEvents } from '../source.js'
import type { EngineClient } from './client.js'
import type { Tracker } from './tracker.js'

export interface FollowDeps {
  /** For messages. */
  readonly endpoint: string
  readonly client: EngineClient
  readonly tracker: Tracker
  readonly clock: Clock
  readonly log: Logger
}

const MAX_EVENT_LENGTH = 1 << 20
const MAX_DELAY_MS = 10_000

/** `Source.watch`: one session after the other, each with a stream of its own and a full pass at its start. */
export async function watchEngine(deps: FollowDeps, events: SourceEvents, signal: AbortSignal): Promise<void> {
  const backoff = createBackoff({ firstMs: 200, maxMs: MAX_DELAY_MS })
  let told = false
  while (!signal.aborted) {
    const startedAt = deps.clock.elapsed()
    const report = (instances: readonly Instance[]) => {
      told = false
      events.report(instances)
    }
    const error = await runSession(deps, report, signal)
    if (signal.aborted) return
    if (!told) events.failed(error)
    told = true
    // A stream that something in between cuts every few seconds must not become a list every 200 ms.
    if (deps.clock.elapsed() - startedAt > MAX_DELAY_MS) backoff.reset()
    await deps.clock.sleep(backoff.next(), signal).catch(() => undefined)
  }
}

type Report = (instances: readonly Instance[]) => void

/** Never rejects; resolves with why it ended. Nothing of it goes on afterwards. */
async function runSession(deps: FollowDeps, report: Report, signal: AbortSignal): Promise<unknown> {
  const session = new AbortController()
  const end = () => session.abort(signal.reason)
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  try {
    return await follow(deps, report, session)
  } catch (error) {
    return error
  } finally {
    signal.removeEventListener('abort', end)
    session.abort()
    await deps.tracker.settled()
  }
}

/** The stream first, then the list: what happens while the list is made is in the stream. */
async function follow(
  { endpoint, client, tracker, log }: FollowDeps,
  report: Report,
  session: AbortController,
): Promise<never> {
  const { signal } = session
  const stream = await client.events(signal)
  const pass = createPasses(tracker, report, signal)
  const ended = consume(stream, endpoint, {
    event: (event) => tracker.handle(event, pass.changed, signal),
    lost: () => {
      log.warn('an event could not be read; listing the containers anew')
      pass.start()
    },
  })
  pass.start()
  try {
    return await Promise.race([ended, pass.failed])
  } finally {
    stream.destroy()
  }
}

/** Full passes of one session: one at a time, and one more for all that was asked meanwhile. Reports from the first on. */
function createPasses(tracker: Tracker, report: Report, signal: AbortSignal) {
  let [wanted, running, synced] = [false, false, false]
  let last: readonly Instance[] | undefined
  let fail: (error: unknown) => void = () => undefined
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  failed.catch(() => undefined)

  const changed = () => {
    const now = tracker.snapshot()
    if (!synced || signal.aborted || now === last) return
    last = now
    report(now)
  }
  async function repeat(): Promise<void> {
    while (wanted && !signal.aborted) {
      wanted = false
      await tracker.list(signal)
      synced = true
      changed()
    }
  }
  const start = () => {
    wanted = true
    if (running) return
    running = true
    repeat()
      .catch(fail)
      .finally(() => {
        running = false
      })
  }
  return { start, changed, failed }
}

interface EventSink {
  event(event: EngineEvent): void
  lost(): void
}

/** Rejects at the end of the stream, whichever way it ends. */
async function consume(stream: AsyncIterable<Buffer>, endpoint: string, sink: EventSink): Promise<never> {
  const broken = (cause?: unknown) =>
    new HostlerError('DOCKER', `the stream of events from ${endpoint} ended; the engine may be restarting`, { cause })
  try {
    for await (const line of readLines(stream, MAX_EVENT_LENGTH)) {
      const event = line === undefined ? 'lost' : tryParse(line)
      if (event === 'lost') sink.lost()
      else if (event) sink.event(event)
    }
  } catch (error) {
    throw broken(error)
  }
  throw broken()
}

function tryParse(line: string): EngineEvent | undefined | 'lost' {
  try {
    return parseEvent(line)
  } catch {
    return 'lost'
  }
}
