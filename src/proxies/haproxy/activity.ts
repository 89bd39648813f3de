import type { Clock } from '../../lib/clock.js'
import { HostlerError } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'
import { createTurns } from '../../lib/turns.js'
import type { Plan } from '../../model/plan.js'
import type { BackendActivity } from '../proxy.js'
import { createLedger, type Traffic, type WorkerCount } from './activity-ledger.js'
import type { WorkerReader, WorkerReading } from './activity-workers.js'
import { createLookup } from './lookup.js'
import type { Reply } from './runtime/socket.js'
import { commandLine } from './runtime/socket-command.js'
import { isSpare } from './runtime/spares.js'
import type { WorkerActivity } from './runtime/state.js'
import { parseMap } from './runtime/state-dumps.js'
import { isSameWorker, type WorkerKey } from './runtime/types.js'

/**
 * The traffic of HAProxy's backends as one count that goes on across reloads. Each worker counts for itself from zero, a
 * session stays with the worker that accepted it, and a worker ends with its last session: so every one of them is asked,
 * and the one that is about to be replaced is asked once more before.
 */
export interface ActivityReader {
  /** @throws HostlerError when it cannot be told for certain */
  read(signal: AbortSignal): Promise<BackendActivity[]>
  /**
   * To be called right before HAProxy is made to load its files. What comes in the milliseconds until the old worker stops
   * listening, and has ended by then, is not seen. Never throws.
   */
  beforeLoad(signal: AbortSignal): Promise<void>
}

export interface ActivityInputs {
  readonly workers: WorkerReader
  /** Spare → backend of the plan, in a worker that we change step by step. */
  readonly sparesOf: (worker: WorkerKey) => ReadonlyMap<string, string> | undefined
  /** Paths of the maps, as the configuration writes them. */
  readonly maps: readonly string[]
  readonly plan: () => Plan | undefined
  readonly clock: Clock
  readonly log: Logger
}

export function createActivityReader(inputs: ActivityInputs): ActivityReader {
  const { workers, plan, clock, log } = inputs
  const owners = createSpareOwners(inputs)
  const ledger = createLedger()
  /** By process id, as last asked. */
  const records = new Map<number, WorkerCount>()
  const began = clock.now()
  let gaps = 0
  let serving: WorkerActivity | undefined
  /** The worker that serves was asked just before it is replaced. */
  let announced = false

  let known: { readonly plan: Plan; readonly names: ReadonlySet<string> } | undefined
  function namesOf(wanted: Plan): ReadonlySet<string> {
    if (known?.plan !== wanted) known = { plan: wanted, names: new Set(wanted.backends.map(({ name }) => name)) }
    return known.names
  }

  async function record(reading: WorkerReading, signal: AbortSignal): Promise<void> {
    await owners.learn(reading, signal)
    records.set(reading.pid, { at: clock.elapsed(), backends: reading.backends })
  }

  async function recordServing(signal: AbortSignal): Promise<number> {
    const reading = await workers.serving(signal, serving)
    const isAnother = serving !== undefined && !isSameWorker(serving, reading)
    if (isAnother && !announced) gaps++
    // In a container the same process id comes again.
    if (isAnother) owners.forget(reading.pid)
    serving = reading
    announced = false
    await record(reading, signal)
    return reading.pid
  }

  async function read(signal: AbortSignal): Promise<BackendActivity[]> {
    const wanted = plan()
    if (wanted === undefined) throw tooEarly()
    const names = namesOf(wanted)
    const pid = await recordServing(signal)
    const old = await workers.old(pid, signal)
    for (const reading of old ?? []) await record(reading, signal)
    const alive = new Set([pid, ...(old ?? []).map((reading) => reading.pid)])
    for (const [worker, count] of records) {
      if (alive.has(worker)) continue
      ledger.close({ ...count, owners: owners.of(worker, wanted) }, old === undefined)
      records.delete(worker)
      owners.forget(worker)
    }
    ledger.keep(names)
    const living = [...records].map(([worker, count]) => ({ ...count, owners: owners.of(worker, wanted) }))
    return activitiesOf(ledger.sum(living, names, clock.elapsed()), `${began}.${gaps}`)
  }

  /** A backend that nobody ever asked has no last time. */
  function activitiesOf(sums: ReadonlyMap<string, Traffic>, counting: string): BackendActivity[] {
    const now = clock.elapsed()
    const found: BackendActivity[] = []
    for (const [backend, { total, current, lastAt }] of sums) {
      if (lastAt === undefined) found.push({ backend, total, counting, current })
      else found.push({ backend, total, counting, current, quietMs: Math.max(0, Math.round(now - lastAt)) })
    }
    return found
  }

  async function beforeLoad(signal: AbortSignal): Promise<void> {
    try {
      await recordServing(signal)
      announced = true
    } catch (err) {
      log.debug({ err }, 'the traffic before a reload is not known')
    }
  }

  // Whoever asks second must not see half of what the first one found.
  const turns = createTurns()
  return {
    read: (signal) => turns.take(() => read(signal)),
    beforeLoad: (signal) => turns.take(() => beforeLoad(signal)),
  }
}

/** Whom the spares of each worker serve, or served. */
function createSpareOwners({ sparesOf, maps, log }: ActivityInputs) {
  const known = new Map<number, ReadonlyMap<string, string>>()
  const keys = new Map<number, ReadonlyMap<string, readonly string[]>>()

  return {
    /** Remembers while it can be known: after the next load, nobody else does. */
    async learn(reading: WorkerReading, signal: AbortSignal): Promise<void> {
      const { pid, backends, ask } = reading
      const owners = sparesOf(reading)
      if (owners) known.set(pid, owners)
      if (known.has(pid) || keys.has(pid)) return
      const isUsed = [...backends].some(([name, { total }]) => isSpare(name) && total > 0)
      if (isUsed) keys.set(pid, await spareKeys(maps, (command) => ask(command, signal)))
    },
    /** Of a worker from before our time, by the hosts that its maps led there. */
    of(pid: number, plan: Plan): ReadonlyMap<string, string> {
      const owners = known.get(pid)
      if (owners) return owners
      const leading = keys.get(pid)
      if (leading === undefined) return NOBODY
      const backendOf = backendsByKey(plan)
      const found = new Map<string, string>()
      for (const [spare, hosts] of leading) {
        const backend = hosts.map((host) => backendOf.get(host)).find((name) => name !== undefined)
        if (backend) found.set(spare, backend)
        else log.debug({ spare, hosts }, 'nothing in the plan is what this spare backend of an old worker served')
      }
      return found
    },
    forget(pid: number): void {
      known.delete(pid)
      keys.delete(pid)
    },
  }
}

const NOBODY: ReadonlyMap<string, string> = new Map()

async function spareKeys(
  maps: readonly string[],
  ask: (command: string) => Promise<Reply>,
): Promise<Map<string, string[]>> {
  const keys = new Map<string, string[]>()
  for (const path of maps) {
    for (const [key, backend] of entriesOf(await ask(commandLine('show', 'map', path)))) {
      if (isSpare(backend)) keys.set(backend, [...(keys.get(backend) ?? []), key])
    }
  }
  return keys
}

/** An operator's own configuration need not use every map. */
const entriesOf = (reply: Reply): ReadonlyMap<string, string> => (/^0x/.test(reply.text) ? parseMap(reply) : new Map())

function backendsByKey({ routes }: Plan): Map<string, string> {
  const { domains, paths, cookies } = createLookup(routes)
  return new Map([
    ...domains.map(({ host, backend }): [string, string] => [host, backend]),
    ...[...paths, ...cookies].map(({ key, backend }): [string, string] => [key, backend]),
  ])
}

const tooEarly = () =>
  new HostlerError('HAPROXY_ACTIVITY', 'the traffic of HAProxy cannot be told before there is a plan')
