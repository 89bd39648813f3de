import type { RuntimeError, Workload } from '../runtime.js'
import type { Inspected } from './decode.js'
import { type Engine, type EngineRequest, isDone } from './engine.js'
import { isReference, type Look, noSuchWorkload, shortName } from './look.js'
import type { Settling } from './settle.js'
import type { Timeouts } from './timeouts.js'

export interface Acts {
  start(id: string, signal: AbortSignal): Promise<void>
  pause(id: string, signal: AbortSignal): Promise<void>
  unpause(id: string, signal: AbortSignal): Promise<void>
}

export interface ActDeps {
  readonly engine: Engine
  readonly look: Look
  readonly settling: Settling
  readonly timeouts: Timeouts
}

/**
 * Docker and Podman refuse in different words and with different statuses (409 here is 500 there), so what counts after
 * a refusal is what the container is then: there already, paused, gone, or truly refused.
 */
export function createActs({ engine, look, settling, timeouts }: ActDeps): Acts {
  async function bring(request: EngineRequest, id: string, wanted: Workload['state'], signal: AbortSignal) {
    if (!isReference(id)) throw noSuchWorkload(id)
    const answer = await engine.call(request, signal)
    if (isDone(answer)) return undefined
    const now = await look.inspect(id, signal)
    if (!now) throw noSuchWorkload(id)
    if (now.workload.state === wanted) return undefined
    const code = /\bnetwork\b.*\bnot found\b/.test(answer.complaint) ? 'no-such-network' : 'refused'
    return { now, error: engine.refusal(request, answer, code) } satisfies Refused
  }

  async function start(id: string, signal: AbortSignal): Promise<void> {
    const refused = await bring(actOn(id, 'starting', 'start', timeouts.startMs), id, 'running', signal)
    if (!refused) return
    const { state } = refused.now.workload
    if (state === 'paused') return unpause(id, signal)
    if (state !== 'stopping') throw refused.error
    await settling.ended(refused.now, signal)
    await start(id, signal)
  }

  async function pause(id: string, signal: AbortSignal): Promise<void> {
    const refused = await bring(actOn(id, 'pausing', 'pause', timeouts.actMs), id, 'paused', signal)
    if (refused) throw refused.error
  }

  async function unpause(id: string, signal: AbortSignal): Promise<void> {
    const refused = await bring(actOn(id, 'unpausing', 'unpause', timeouts.actMs), id, 'running', signal)
    if (refused) throw refused.error
  }
  return { start, pause, unpause }
}

/** What it is instead of what was wanted, and the error that says why. */
interface Refused {
  readonly now: Inspected
  readonly error: RuntimeError
}

export const actOn = (id: string, what: string, verb: string, timeoutMs: number, query = {}): EngineRequest => ({
  what: `${what} container ${shortName(id)}`,
  ...{ method: 'POST', path: `/containers/${id}/${verb}`, timeoutMs, query },
})
