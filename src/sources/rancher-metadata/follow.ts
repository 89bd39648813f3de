import { createBackoff } from '../../lib/backoff.js'
import type { Clock } from '../../lib/clock.js'
import { HostlerError } from '../../lib/errors.js'
import type { Instance } from '../../model/instance.js'
import type { SourceEvents } from '../source.js'
import type { MetadataClient } from './client.js'

export interface FollowOptions {
  readonly client: MetadataClient
  readonly list: () => Promise<readonly Instance[]>
  readonly pollIntervalMs: number
  readonly clock: Clock
  readonly events: SourceEvents
  readonly signal: AbortSignal
}

/** The service looks every 5 s whether a caller's wait is over, and refuses to wait more than 120 s. */
const MAX_WAIT_S = 60

/**
 * Lists whenever `version` has changed: told by a long poll where the server can, asked for at every interval where it
 * cannot. Ends only by the signal, with its AbortError.
 */
export async function follow({ client, list, pollIntervalMs, clock, events, signal }: FollowOptions): Promise<never> {
  const backoff = createBackoff({ firstMs: 250, maxMs: Math.max(pollIntervalMs, 1000) })
  const waitForChange = createVersionWait(client, pollIntervalMs, clock, signal)
  let last: readonly Instance[] | undefined
  let broken = false

  for (;;) {
    const startedMs = clock.elapsed()
    try {
      const version = await readVersion(client, signal)
      const instances = await list()
      if (broken || !isSame(instances, last)) events.report(instances)
      last = instances
      broken = false
      backoff.reset()
      await clock.sleep(restAfter(clock.elapsed() - startedMs), signal)
      await waitForChange(version)
    } catch (error) {
      signal.throwIfAborted()
      if (!broken) events.failed(error)
      broken = true
      await clock.sleep(backoff.next(), signal)
    }
  }
}

/** `version` may change many times a second; reading everything shall take a third of the time at most. */
const restAfter = (listedMs: number) => Math.max(50, 2 * listedMs)

const isSame = (a: readonly Instance[], b: readonly Instance[] | undefined) =>
  a.length === b?.length && a.every((instance, index) => instance === b[index])

/** What `version` answers; undefined where a server has none. Asked to wait, it answers when the value is another one. */
async function readVersion(client: MetadataClient, signal: AbortSignal, wait?: { last: string; maxWaitS: number }) {
  const query = wait ? `?wait=true&value=${encodeURIComponent(wait.last)}&maxWait=${wait.maxWaitS}` : ''
  const version = await client.readWord(`version${query}`, signal, (wait?.maxWaitS ?? 0) * 1000)
  if (version === undefined || /^[\w.:-]{1,200}$/.test(version.trim())) return version?.trim()
  throw new HostlerError('metadata-shape', 'metadata answered with a version that is none')
}

/** Resolves when it is time to list again. A wait that broke off means just that: the list will tell if there is an outage. */
function createVersionWait(client: MetadataClient, pollIntervalMs: number, clock: Clock, signal: AbortSignal) {
  const maxWaitS = Math.min(Math.max(Math.ceil(pollIntervalMs / 1000), 1), MAX_WAIT_S)
  let broke = 0

  return async function waitForChange(last: string | undefined): Promise<void> {
    for (;;) {
      const startedMs = clock.elapsed()
      const verdict = last === undefined ? 'cannot' : await ask(last, startedMs)
      if (verdict === 'changed') return
      if (verdict === 'cannot') return clock.sleep(pollIntervalMs, signal)
    }
  }

  async function ask(last: string, startedMs: number): Promise<'changed' | 'same' | 'cannot'> {
    const version = await readVersion(client, signal, { last, maxWaitS }).catch(() => null)
    signal.throwIfAborted()
    broke = version === null ? broke + 1 : 0
    if (version === null) return broke > 1 ? 'cannot' : 'changed'
    if (version !== undefined && version !== last) return 'changed'
    const waited = clock.elapsed() - startedMs >= maxWaitS * 500
    return version !== undefined && waited ? 'same' : 'cannot'
  }
}
