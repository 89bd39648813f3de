import { RuntimeError } from '../runtime.js'
import { type ActDeps, type Acts, actOn } from './acts.js'
import type { Inspected } from './decode.js'
import { type EngineRequest, isDone } from './engine.js'
import { noSuchWorkload, shortName } from './look.js'

export interface Endings {
  stop(id: string, signal: AbortSignal): Promise<void>
  remove(id: string, volumes: boolean, signal: AbortSignal): Promise<void>
}

const TRIES = 3

export function createEndings({ engine, look, settling, timeouts }: ActDeps, { unpause }: Acts): Endings {
  async function end(found: Inspected, signal: AbortSignal): Promise<void> {
    const { workload, stopTimeoutMs } = found
    const { id, state } = workload
    if (state === 'stopped') return
    if (state === 'stopping') return void (await settling.ended(found, signal))
    // Podman does not stop what is paused, and what is paused hears no signal.
    if (state === 'paused') await unpause(id, signal)
    // Always with its time-out: Podman kills at once what has none.
    const query = { t: Math.ceil(stopTimeoutMs / 1000) }
    const request = actOn(id, 'stopping', 'stop', stopTimeoutMs + timeouts.stopMs, query)
    const answer = await engine.call(request, signal)
    // One that removes itself at its end.
    if (isDone(answer) || answer.status === 404) return
    const now = await look.inspect(id, signal)
    if (now && now.workload.state !== 'stopped') throw engine.refusal(request, answer)
  }

  async function stop(id: string, signal: AbortSignal): Promise<void> {
    const found = await look.inspect(id, signal)
    if (!found) throw noSuchWorkload(id)
    await end(found, signal)
  }

  async function remove(id: string, volumes: boolean, signal: AbortSignal): Promise<void> {
    const request: EngineRequest = {
      what: `removing container ${shortName(id)}`,
      ...{ method: 'DELETE', path: `/containers/${id}`, timeoutMs: timeouts.removeMs, query: { v: volumes ? 1 : 0 } },
    }
    let error = new RuntimeError('refused', `${request.what}: somebody else is at it, and fails`)
    // Again when somebody has started it in between, or began to remove it and failed.
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await settling.leftOf(id, signal)
      if (!found) return
      await end(found, signal)
      const answer = await engine.call(request, signal)
      if (isDone(answer) || answer.status === 404) return
      if (!/\bin progress\b/.test(answer.complaint)) error = engine.refusal(request, answer)
    }
    throw error
  }
  return { stop, remove }
}
