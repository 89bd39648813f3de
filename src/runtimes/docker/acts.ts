import type { Clock } from '../../lib/clock.js'
import { RuntimeError, type Workload } from '../runtime.js'
import type { Inspected } from './decode.js'
import { type Engine, type EngineRequest, isDone } from './engine.js'
import { isReference, type Look, noSuchWorkload, shortName } from './look.js'
import type { Timeouts } from './timeouts.js'

export interface Acts {
  start(id: string, signal: AbortSignal): Promise<void>
  stop(id: string, signal: AbortSignal): Promise<void>
  pause(id: string, signal: AbortSignal): Promise<void>
  unpause(id: string, signal: AbortSignal): Promise<void>
  remove(id: string, volumes: boolean, signal: AbortSignal): Promise<void>
}

interface ActDeps {
  readonly engine: Engine
  readonly look: Look
  readonly timeouts: Timeouts
  readonly clock: Clock
}

/**
 * Docker and Podman refuse in different words and with different statuses (409 here is 500 there), so what counts after
 * a refusal is what the container is then: there already, paused, gone, or truly refused.
 */
export function createActs({ engine, look, timeouts, clock }: ActDeps): Acts {
  const request = (what: string, id: string, verb: string, timeoutMs: number, query = {}): EngineRequest => ({
    what: `${what} container ${shortName(id)}`,
    ...{ method: 'POST', path: `/containers/${id}/${verb}`, timeoutMs, query },
  })
  /** @returns undefined when it is done, or is so already; else what it is instead, and the error that says why */
  async function bring(wanted: EngineRequest, id: string, isThere: (now: Workload) => boolean, signal: AbortSignal) {
    if (!isReference(id)) throw noSuchWorkload(id)
    const answer = await engine.call(wanted, signal)
    if (isDone(answer)) return undefined
    const now = await look.inspect(id, signal)
    if (!now) throw noSuchWorkload(id)
    if (isThere(now.workload)) return undefined
    const code = /\bnetwork\b.*\bnot found\b/.test(answer.complaint) ? 'no-such-network' : 'refused'
    return { now, error: engine.refusal(wanted, answer, code) }
  }
  const runs = ({ state }: Workload) => state === 'running'

  async function start(id: string, signal: AbortSignal): Promise<void> {
    const failed = await bring(request('starting', id, 'start', timeouts.startMs), id, runs, signal)
    if (!failed) return
    const { state } = failed.now.workload
    if (state === 'paused') return unpause(id, signal)
    if (state !== 'stopping') throw failed.error
    await ended(failed.now, signal)
    await start(id, signal)
  }

  async function pause(id: string, signal: AbortSignal): Promise<void> {
    const wanted = request('pausing', id, 'pause', timeouts.actMs)
    const failed = await bring(wanted, id, ({ state }) => state === 'paused', signal)
    if (failed) throw failed.error
  }

  async function unpause(id: string, signal: AbortSignal): Promise<void> {
    const failed = await bring(request('unpausing', id, 'unpause', timeouts.actMs), id, runs, signal)
    if (failed) throw failed.error
  }

  async function stop(id: string, signal: AbortSignal): Promise<void> {
    const found = await look.inspect(id, signal)
    if (!found) throw noSuchWorkload(id)
    await end(found, signal)
  }

  async function end(found: Inspected, signal: AbortSignal): Promise<void> {
    const { workload, stopTimeoutMs } = found
    const { id, state } = workload
    if (state === 'stopped') return
    if (state === 'stopping') return void (await ended(found, signal))
    // Podman does not stop what is paused, and what is paused hears no signal.
    if (state === 'paused') await unpause(id, signal)
    // Always with its time-out: Podman kills at once what has none.
    const seconds = Math.ceil(stopTimeoutMs / 1000)
    const wanted = request('stopping', id, 'stop', stopTimeoutMs + timeouts.stopMs, { t: seconds })
    const answer = await engine.call(wanted, signal)
    // One that removes itself at its end.
    if (isDone(answer) || answer.status === 404) return
    const now = await look.inspect(id, signal)
    if (now && now.workload.state !== 'stopped') throw engine.refusal(wanted, answer)
  }

  async function remove(id: string, volumes: boolean, signal: AbortSignal): Promise<void> {
    const wanted: EngineRequest = {
      what: `removing container ${shortName(id)}`,
      ...{ method: 'DELETE', path: `/containers/${id}`, timeoutMs: timeouts.removeMs, query: { v: volumes ? 1 : 0 } },
    }
    let error: RuntimeError | undefined
    // Again when somebody has started it in between, or began to remove it and failed.
    for (let tries = 0; tries < 3; tries++) {
      const found = await leftOf(id, signal)
      if (!found) return
      await end(found, signal)
      const answer = await engine.call(wanted, signal)
      if (isDone(answer) || answer.status === 404) return
      if (!/\bin progress\b/.test(answer.complaint)) error = engine.refusal(wanted, answer)
    }
    throw error ?? new RuntimeError('refused', `${wanted.what}: somebody else is at it, and fails`)
  }

  /** Somebody else stops it. */
  const ended = ({ workload, stopTimeoutMs }: Inspected, signal: AbortSignal) =>
    settled(
      'stopping',
      workload.id,
      stopTimeoutMs + timeouts.stopMs,
      ({ workload: { state } }) => state !== 'stopping',
      signal,
    )

  /** What is left of it when nobody else is removing it. */
  const leftOf = (id: string, signal: AbortSignal) =>
    settled('removing', id, timeouts.removeMs, ({ removing }) => !removing, signal)

  async function settled(
    what: string,
    id: string,
    timeoutMs: number,
    is: (now: Inspected) => boolean,
    signal: AbortSignal,
  ) {
    for (const since = clock.elapsed(); clock.elapsed() - since < timeoutMs; ) {
      const now = await look.inspect(id, signal)
      if (!now || is(now)) return now
      await clock.sleep(100, signal)
    }
    throw new RuntimeError(
      'unreachable',
      `somebody else is ${what} container ${shortName(id)}, for ${timeoutMs / 1000} s`,
    )
  }
  return { start, stop, pause, unpause, remove }
}
