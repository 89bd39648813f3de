import type { Logger } from 'pino'
import { createBackoff } from '../../lib/backoff.js'
import type { Clock } from '../../lib/clock.js'
import { messageOf } from '../../lib/errors.js'
import type { Workload, WorkloadEvent } from '../runtime.js'
import type { Desk } from './desk.js'
import type { Look } from './look.js'
import type { Timeouts } from './timeouts.js'

export interface WatchDeps {
  readonly desk: Desk
  readonly look: Look
  readonly timeouts: Timeouts
  readonly clock: Clock
  readonly log: Logger
}

const MAX_DELAY_MS = 10_000

/** Looks again and again, and tells what is other than before, until aborted. What lies between two looks is not seen. */
export async function watchServices(
  { desk, look, timeouts, clock, log }: WatchDeps,
  happened: (event: WorkloadEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const backoff = createBackoff({ firstMs: 250, maxMs: MAX_DELAY_MS })
  let known: Known | undefined
  let isTold = false
  while (!signal.aborted) {
    let pauseMs = timeouts.watchMs
    try {
      const found = await desk.work('watching the services', signal, (client) => look.all(client, signal))
      const now = seen(found, known)
      for (const event of known ? differences(known, now) : []) happened(event)
      known = now
      isTold = false
      backoff.reset()
    } catch (error) {
      if (signal.aborted) return
      if (!isTold) log.warn({ why: messageOf(error) }, 'services cannot be watched; trying again')
      isTold = true
      pauseMs = backoff.next()
    }
    await clock.sleep(pauseMs, signal).catch(() => undefined)
  }
}

function* differences(before: Known, now: Known): Generator<WorkloadEvent> {
  for (const [id, { workload, isUp }] of now) {
    const last = before.get(id)
    if (!last) yield { id, what: 'created' }
    const wasUp = last?.isUp === true
    if (wasUp !== isUp) yield { id, what: isUp ? 'started' : 'ended' }
    const { health } = workload
    if (health !== last?.workload.health && (health === 'healthy' || health === 'unhealthy')) yield { id, what: health }
  }
  for (const [id, { isUp }] of before) {
    if (now.has(id)) continue
    if (isUp) yield { id, what: 'ended' }
    yield { id, what: 'removed' }
  }
}

interface Seen {
  readonly workload: Workload
  /** Its containers run. What is being removed may have stopped long before. */
  readonly isUp: boolean
}

type Known = ReadonlyMap<string, Seen>

const seen = (now: ReadonlyMap<string, Workload>, before: Known | undefined): Known =>
  new Map(
    [...now].map(([id, workload]) => {
      const isUp = workload.state === 'running' || (workload.state === 'stopping' && before?.get(id)?.isUp === true)
      return [id, { workload, isUp }]
    }),
  )
