import { fields, string } from '../../lib/docker/fields.js'
import { createLimit } from '../../lib/limit.js'
import { orAborted } from '../../lib/signals.js'
import { RuntimeError, type Traffic, type Workload } from '../runtime.js'
import { type Inspected, readInspected, readTraffic } from './decode.js'
import { type Engine, type EngineRequest, isDone } from './engine.js'
import type { Timeouts } from './timeouts.js'

/** Asks about containers and changes nothing. */
export interface Look {
  /** By full id, by the start of one (12 digits at least) or by name. */
  inspect(idOrName: string, signal: AbortSignal): Promise<Inspected | undefined>
  list(labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Workload[]>
  traffic(id: string, signal: AbortSignal): Promise<Traffic | undefined>
}

/** What ids and names are made of. Anything else exists nowhere, and must not become part of a path. */
export const isReference = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text)

export const noSuchWorkload = (idOrName: string): RuntimeError =>
  new RuntimeError('no-such-workload', `there is no container ${shortName(idOrName)}`)

/** For messages. */
export const shortName = (idOrName: string): string =>
  JSON.stringify(/^[0-9a-f]{64}$/.test(idOrName) ? idOrName.slice(0, 12) : idOrName.slice(0, 100))

export function createLook(engine: Engine, timeouts: Timeouts): Look {
  // Of their own, so that a look at everybody's traffic is not in the way of who waits for a start.
  const [inspecting, counting] = [createLimit(16), createLimit(8)]

  async function inspect(idOrName: string, signal: AbortSignal): Promise<Inspected | undefined> {
    if (!isReference(idOrName)) return undefined
    const request: EngineRequest = {
      what: `inspecting container ${shortName(idOrName)}`,
      ...{ method: 'GET', path: `/containers/${idOrName}/json`, timeoutMs: timeouts.inspectMs },
    }
    const answer = await orAborted(
      inspecting(() => engine.call(request, signal)),
      signal,
    )
    if (answer.status === 404) return undefined
    if (!isDone(answer)) throw engine.refusal(request, answer)
    const found = readInspected(answer.json())
    if (!found) throw noEngine(request)
    return isMeant(found.workload, idOrName) ? found : undefined
  }

  async function list(labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Workload[]> {
    // The engine cuts at the first `=`; such a name is left to our own look at the labels.
    const asked = Object.entries(labels).filter(([name]) => !name.includes('='))
    const label = asked.map(([name, value]) => `${name}=${value}`)
    const request: EngineRequest = {
      ...{ what: 'listing the containers', method: 'GET', path: '/containers/json', timeoutMs: timeouts.listMs },
      query: { all: 1, ...(label.length > 0 && { filters: { label } }) },
    }
    const answer = await engine.call(request, signal)
    if (!isDone(answer)) throw engine.refusal(request, answer)
    const entries = answer.json()
    if (!Array.isArray(entries)) throw noEngine(request)
    const ids = entries.map((entry: unknown) => string(fields(entry)['Id']))
    // One that is removed meanwhile is left out: it is gone.
    const found = await Promise.all(ids.map((id) => inspect(id, signal)))
    return found
      .flatMap((item) => (item ? [item.workload] : []))
      .filter((workload) => Object.entries(labels).every(([name, value]) => workload.labels[name] === value))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async function traffic(id: string, signal: AbortSignal): Promise<Traffic | undefined> {
    if (!isReference(id)) throw noSuchWorkload(id)
    const request: EngineRequest = {
      what: `reading the traffic of container ${shortName(id)}`,
      ...{ method: 'GET', path: `/containers/${id}/stats`, timeoutMs: timeouts.statsMs },
      // Without `one-shot` Docker takes a second sample after the first, one second later.
      query: { stream: 0, 'one-shot': 1 },
    }
    const answer = await orAborted(
      counting(() => engine.call(request, signal)),
      signal,
    )
    if (answer.status === 404) throw noSuchWorkload(id)
    if (!isDone(answer)) throw engine.refusal(request, answer)
    return readTraffic(answer.json())
  }
  return { inspect, list, traffic }
}

const noEngine = ({ what }: EngineRequest): RuntimeError =>
  new RuntimeError('unreachable', `${what}: what answers there is no container engine`)

/** Engines also find by the start of an id, however short: a container asked for as `cafe` need not be called so. */
const isMeant = ({ id, name }: Workload, idOrName: string): boolean =>
  id === idOrName || name === idOrName || (idOrName.length >= 12 && id.startsWith(idOrName))
