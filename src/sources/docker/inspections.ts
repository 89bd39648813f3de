import type { Logger } from 'pino'
import { HostlerError } from '../../lib/errors.js'
import type { EngineClient } from './client.js'
import type { Container } from './container.js'
import { fromInspect } from './decode.js'

/** The inspects that events ask for: one at a time per container, and one more for all that happened meanwhile. */
export interface Inspections {
  ask(id: string, done: () => void, signal: AbortSignal): void
  /** What is under way for this container no longer counts. */
  cancel(id: string): void
  /** Out of turn; undefined when there is no such container or it cannot be told. */
  once(id: string, signal: AbortSignal): Promise<Container | undefined>
  has(id: string): boolean
  ids(): Iterable<string>
  settled(): Promise<void>
}

export interface InspectionDeps {
  readonly client: EngineClient
  readonly keepsInspect: boolean
  /** @param isCurrent false once the container was removed meanwhile */
  found(container: Container, isCurrent: () => boolean, signal: AbortSignal): Promise<void>
  gone(id: string): void
  readonly log: Logger
}

interface Inspection {
  again: boolean
  cancelled: boolean
  ended: Promise<void>
}

/** A container with events all the time must become known all the same. */
const MAX_PASSED_OVER = 5

export function createInspections({ client, keepsInspect, found, gone, log }: InspectionDeps): Inspections {
  const running = new Map<string, Inspection>()

  function ask(id: string, done: () => void, signal: AbortSignal): void {
    const current = running.get(id)
    if (current && !current.cancelled) {
      current.again = true
      return
    }
    const inspection: Inspection = { again: true, cancelled: false, ended: Promise.resolve() }
    running.set(id, inspection)
    inspection.ended = repeat(id, inspection, done, signal).finally(() => {
      if (running.get(id) === inspection) running.delete(id)
    })
  }

  async function repeat(id: string, inspection: Inspection, done: () => void, signal: AbortSignal): Promise<void> {
    for (let round = 1; inspection.again && !inspection.cancelled && !signal.aborted; round++) {
      inspection.again = false
      try {
        const container = await read(id, signal)
        if (inspection.cancelled) return
        // The answer may be older than the event: it would bring a container back that has died.
        if (inspection.again && round < MAX_PASSED_OVER) continue
        if (container) await found(container, () => !inspection.cancelled, signal)
        else gone(id)
        done()
      } catch (error) {
        // What is known stays; the next full pass tells more.
        if (!signal.aborted) log.warn({ err: error, id }, 'a container cannot be inspected; its last facts stay')
      }
    }
  }

  async function read(id: string, signal: AbortSignal): Promise<Container | undefined> {
    const answer = await client.inspect(id, signal)
    if (answer === undefined) return undefined
    const container = fromInspect(answer, keepsInspect)
    if (!container) throw new HostlerError('DOCKER_ANSWER', `inspecting container ${id} gave something that is none`)
    return container
  }

  async function once(id: string, signal: AbortSignal): Promise<Container | undefined> {
    try {
      return await read(id, signal)
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error, id }, 'the container whose network is used cannot be inspected')
      return undefined
    }
  }

  return {
    ...{ ask, once },
    cancel: (id) => {
      const current = running.get(id)
      if (current) current.cancelled = true
    },
    has: (id) => running.has(id),
    ids: () => running.keys(),
    settled: async () => void (await Promise.all([...running.values()].map(({ ended }) => ended))),
  }
}
