import type { Logger } from 'pino'
import type { Clock } from '../../lib/clock.js'
import type { ConsulAccess } from '../../lib/consul/address.js'
import { createConsulClient } from '../../lib/consul/client.js'
import { heartbeatId, INSTANCE } from '../../lib/consul/meta.js'
import { codeOf, messageOf } from '../../lib/errors.js'
import { createLimit } from '../../lib/limit.js'
import { printable } from '../../lib/printable.js'
import { type AgentService, cleanupTag, type Entry } from './entries.js'
import { createHeartbeat } from './heartbeat.js'
import { nodesWithTags } from './leftovers.js'
import { announcerOf, isWritten, type Present, presentOf, readPresent } from './present.js'

/** One agent of Consul, and what of ours is there. */
export interface ConsulAgent {
  sync(asked: AskedHere, signal: AbortSignal): Promise<Outcome>
  /** Keeps what is there alive until aborted. */
  run(disturbed: () => void, signal: AbortSignal): Promise<void>
  withdraw(signal: AbortSignal): Promise<void>
  /** Addresses of the nodes of the whole cluster that have something with our cleanup tag. */
  nodesWithOurs(signal: AbortSignal): Promise<string[]>
  close(): Promise<void>
}

export interface AskedHere {
  /** By id. */
  readonly entries: ReadonlyMap<string, AskedEntry>
  /** What is missing here shall go. */
  readonly isWhole: boolean
  /** Whether the entries of an instance stay although they are not asked for, by its key. */
  readonly isKept: (instance: string) => boolean
  /** Look at what is there, rather than remember it. */
  readonly afresh: boolean
}

export interface AskedEntry {
  readonly entry: Entry
  /** Why it gets no traffic. */
  readonly maintenance?: string
}

export interface Outcome {
  entries: number
  written: number
  removed: number
  readonly troubles: string[]
}

export interface AgentInputs {
  readonly access: ConsulAccess
  readonly announcer: string
  readonly cleanupId: string
  /** 0: without a heartbeat. */
  readonly leaseMs: number
  readonly clock: Clock
  readonly log: Logger
}

const WRITES_AT_ONCE = 16

export function createConsulAgent(inputs: AgentInputs): ConsulAgent {
  const { announcer, cleanupId, leaseMs } = inputs
  const client = createConsulClient(inputs.access)
  const heartbeat = leaseMs > 0 ? createHeartbeat({ ...inputs, client }) : undefined
  const limited = createLimit(WRITES_AT_ONCE)
  const tags = [cleanupTag(cleanupId), `rancon-${cleanupId.toLowerCase()}`]
  /** Everything at the agent, ours or not, as far as we know; undefined: to be looked at. */
  let known: Map<string, Present> | undefined
  /** Ids that this process has announced before. */
  const told = new Set<string>()
  /** What an agent has, and what we asked for that came to that. */
  const asWritten = new WeakMap<Present, AgentService>()

  async function look(signal: AbortSignal): Promise<Map<string, Present>> {
    await heartbeat?.ensure(signal)
    const read = async () => {
      const [services, checks] = [
        await client.get('/agent/services', signal),
        await client.get('/agent/checks', signal),
      ]
      return readPresent(services.value, checks.value)
    }
    const there = await read()
    if (!heartbeat || there.has(heartbeat.id)) return there
    // Left out of the list: for want of rights, which this throws of; or the agent has forgotten everything.
    const { found } = await client.get(`/agent/service/${encodeURIComponent(heartbeat.id)}`, signal)
    heartbeat.seen(found)
    await heartbeat.ensure(signal)
    return found ? there : read()
  }

  /** An entry of another process that lives is its own affair, whatever tags it has. */
  function isOurs(present: Present, there: ReadonlyMap<string, Present>): boolean {
    if (!tags.some((tag) => present.tags.includes(tag))) return false
    const other = announcerOf(present)
    return other === undefined || other === announcer || there.get(heartbeatId(other, cleanupId))?.isPassing !== true
  }

  async function sync(asked: AskedHere, signal: AbortSignal): Promise<Outcome> {
    const there = (asked.afresh ? undefined : known) ?? (await look(signal))
    known = there
    const outcome: Outcome = { entries: 0, written: 0, removed: 0, troubles: [] }
    const denials: unknown[] = []
    const jobs: Promise<unknown>[] = []
    const attempt = (what: string, job: () => Promise<unknown>) => {
      const attempted = limited(job).catch((error: unknown) => {
        if (!isAboutOne(error)) throw error
        if (codeOf(error) === 'CONSUL_DENIED') denials.push(error)
        outcome.troubles.push(`${what}: ${messageOf(error)}`)
      })
      jobs.push(attempted)
    }
    for (const [id, one] of asked.entries) {
      const present = there.get(id)
      if (present && isSettled(present, one)) outcome.entries++
      else if (present && !isOurs(present, there)) outcome.troubles.push(taken(one, present))
      // One that gets no traffic is not announced before it did.
      else if (present || one.maintenance === undefined) attempt(named(one), () => write(one, there, outcome, signal))
    }
    for (const [id, present] of there) {
      if (isUnwanted(present, asked) && isOurs(present, there))
        attempt(`entry ${printable(id, 200)}`, () => remove(id, there, outcome, signal))
    }
    try {
      await settled(jobs)
    } catch (error) {
      known = undefined
      throw error
    }
    if (denials.length > 0 && outcome.entries === 0 && outcome.removed === 0) throw denials[0]
    return outcome
  }

  const isUnwanted = ({ id, meta }: Present, { entries, isWhole, isKept }: AskedHere) =>
    isWhole && !entries.has(id) && !isKept(meta[INSTANCE] ?? '')

  /** Without a look at each field where it was looked at before. */
  function isSettled(present: Present, { entry, maintenance }: AskedEntry): boolean {
    return present.maintenance === maintenance && asWritten.get(present) === entry.service
  }

  async function write(
    { entry, maintenance }: AskedEntry,
    there: Map<string, Present>,
    outcome: Outcome,
    signal: AbortSignal,
  ): Promise<void> {
    const { service } = entry
    const id = service.ID
    const present = there.get(id)
    const steps: (() => Promise<unknown>)[] = []
    if (!present || !isWritten(present, service)) {
      const body = present ? service : anew(service, told.has(id))
      steps.push(() => client.put('/agent/service/register', body, signal))
    }
    for (const check of staleChecks(present, entry)) {
      steps.push(() => client.put(`/agent/check/deregister/${encodeURIComponent(check)}`, undefined, signal))
    }
    if (present?.maintenance !== maintenance) {
      const path = `/agent/service/maintenance/${encodeURIComponent(id)}`
      steps.push(() => client.put(`${path}?${maintenanceQuery(maintenance)}`, undefined, signal))
    }
    for (const step of steps) await step()
    const now = steps.length > 0 || !present ? presentOf(service, maintenance) : present
    there.set(id, now)
    asWritten.set(now, service)
    told.add(id)
    outcome.entries++
    if (steps.length > 0) outcome.written++
  }

  async function remove(id: string, there: Map<string, Present>, outcome: Outcome, signal: AbortSignal): Promise<void> {
    await deregister(id, signal)
    there.delete(id)
    told.delete(id)
    outcome.removed++
  }

  /** Some versions answer 500 for what is gone already. */
  async function deregister(id: string, signal: AbortSignal): Promise<void> {
    try {
      await client.put(`/agent/service/deregister/${encodeURIComponent(id)}`, undefined, signal)
    } catch (error) {
      if (!/unknown service/i.test(messageOf(error))) throw error
    }
  }

  return {
    sync,
    async run(disturbed, signal) {
      const lost = () => {
        known = undefined
        disturbed()
      }
      await heartbeat?.run(lost, signal)
    },
    async withdraw(signal) {
      const there = await look(signal)
      const ours = [...there.values()].filter((present) => isOurs(present, there))
      await settled(ours.map(({ id }) => limited(() => deregister(id, signal))))
      await heartbeat?.remove(signal)
    },
    nodesWithOurs: (signal) => nodesWithTags(client, tags, signal),
    close: () => client.close(),
  }
}

const named = ({ entry }: Pick<AskedEntry, 'entry'>): string => `container ${printable(entry.container, 120)}`

/**
 * A check is critical in Consul until it was made for the first time. That is no news where we live, and none where only the
 * agent has forgotten what it knew: traffic would stop for it.
 */
const anew = (service: AgentService, isAgain: boolean): object => ({
  ...service,
  Checks: service.Checks.map((check) =>
    isAgain || check.AliasService !== undefined ? { ...check, Status: 'passing' } : check,
  ),
})

const taken = (one: AskedEntry, present: Present): string => {
  const whose = announcerOf(present) ?? 'somebody else'
  return `${named(one)}: the id ${present.id} is taken by ${printable(whose, 80)}; set rancon.name, or another id schema`
}

const maintenanceQuery = (reason: string | undefined): string =>
  reason === undefined ? 'enable=false' : `enable=true&reason=${encodeURIComponent(reason)}`

const staleChecks = (present: Present | undefined, { service }: Entry): string[] => {
  const asked = new Set(service.Checks.map(({ CheckID }) => CheckID))
  return [...(present?.checks ?? [])].filter((id) => !asked.has(id))
}

/** Consul says no to this entry; it may well say yes to another. */
const isAboutOne = (error: unknown): boolean =>
  codeOf(error) === 'CONSUL_REFUSED' || (codeOf(error) === 'CONSUL_DENIED' && !/ACL not found/i.test(messageOf(error)))

/** Waits for all of them, so that none is still under way when the first failure is told. */
async function settled(jobs: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(jobs)) if (result.status === 'rejected') throw result.reason
}
