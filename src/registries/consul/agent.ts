import type { Logger } from 'pino'
import type { Clock } from '../../lib/clock.js'
import type { ConsulAccess } from '../../lib/consul/address.js'
import { type ConsulClient, createConsulClient } from '../../lib/consul/client.js'
import { heartbeatId, INSTANCE } from '../../lib/consul/meta.js'
import { codeOf, messageOf } from '../../lib/errors.js'
import { createLimit } from '../../lib/limit.js'
import { printable } from '../../lib/printable.js'
import { cleanupTag } from './entries.js'
import { createHeartbeat, type Heartbeat } from './heartbeat.js'
import { nodesWithTags } from './leftovers.js'
import { announcerOf, type Present, readPresent } from './present.js'
import { type AskedEntry, createWriter } from './writer.js'

/** One agent of Consul, and what of ours is there. */
export interface ConsulAgent {
  /** Its address, without user and password. */
  readonly shown: string
  sync(asked: AskedHere, signal: AbortSignal): Promise<Outcome>
  /** How many services it has; changes nothing. */
  count(signal: AbortSignal): Promise<number>
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

/** Everything at an agent, ours or not, by id. */
type Services = Map<string, Present>

export function createConsulAgent(inputs: AgentInputs): ConsulAgent {
  const client = createConsulClient(inputs.access)
  const heartbeat = inputs.leaseMs > 0 ? createHeartbeat({ ...inputs, client }) : undefined
  const writer = createWriter(client)
  const limited = createLimit(WRITES_AT_ONCE)
  const tags = [cleanupTag(inputs.cleanupId), `rancon-${inputs.cleanupId.toLowerCase()}`]
  const isOurs = (present: Present, there: Services) => isOwn(present, there, { ...inputs, tags })
  const isLeftToUs = (present: Present, there: Services) => hasNoOtherKeeper(present, there, { ...inputs, tags })
  /** As far as we know; undefined: to be looked at. */
  let known: Services | undefined

  async function sync(asked: AskedHere, signal: AbortSignal): Promise<Outcome> {
    const there = (asked.afresh ? undefined : known) ?? (await look(client, heartbeat, signal))
    known = there
    const attempts = createAttempts(limited)
    const { outcome } = attempts
    for (const [id, one] of asked.entries) {
      const present = there.get(id)
      if (present && writer.isSettled(one, present)) outcome.entries++
      else if (present && !isOurs(present, there)) outcome.troubles.push(taken(one, present))
      // One that gets no traffic is not announced before it did.
      else if (present || one.maintenance === undefined) attempts.make(named(one), () => write(one, present))
    }
    const instances = new Set([...asked.entries.values()].map(({ entry }) => entry.service.Meta[INSTANCE]))
    for (const [id, present] of there) {
      if (!isUnwanted(present, asked) || !isOurs(present, there)) continue
      if (isLeftToUs(present, there) || instances.has(present.meta[INSTANCE]))
        attempts.make(`entry ${printable(id, 200)}`, () => remove(id))
    }

    async function write(one: AskedEntry, before: Present | undefined): Promise<void> {
      const { present, isChanged } = await writer.write(one, before, signal)
      there.set(present.id, present)
      outcome.entries++
      if (isChanged) outcome.written++
    }

    async function remove(id: string): Promise<void> {
      await writer.remove(id, signal)
      there.delete(id)
      outcome.removed++
    }

    try {
      await attempts.settled()
    } catch (error) {
      known = undefined
      throw error
    }
    return outcome
  }

  return {
    shown: client.shown,
    sync,
    async count(signal) {
      return Object.keys((await client.get('/agent/services', signal)).value ?? {}).length
    },
    async run(disturbed, signal) {
      const lost = () => {
        known = undefined
        disturbed()
      }
      await heartbeat?.run(lost, signal)
    },
    async withdraw(signal) {
      const there = await look(client, heartbeat, signal)
      const ours = [...there.values()].filter((present) => isOurs(present, there) && isLeftToUs(present, there))
      await settled(ours.map(({ id }) => limited(() => writer.remove(id, signal))))
      await heartbeat?.remove(signal)
    },
    nodesWithOurs: (signal) => nodesWithTags(client, tags, signal),
    close: () => client.close(),
  }
}

/** @throws HostlerError also when the agent leaves out of its list what we know to be there: for want of rights */
async function look(client: ConsulClient, heartbeat: Heartbeat | undefined, signal: AbortSignal): Promise<Services> {
  await heartbeat?.ensure(signal)
  const read = async () => {
    const services = await client.get('/agent/services', signal)
    const checks = await client.get('/agent/checks', signal)
    return readPresent(services.value, checks.value)
  }
  const there = await read()
  if (!heartbeat || there.has(heartbeat.id)) return there
  const { found } = await client.get(`/agent/service/${encodeURIComponent(heartbeat.id)}`, signal)
  if (found) return there
  heartbeat.seen(false)
  await heartbeat.ensure(signal)
  return read()
}

interface Owner {
  readonly announcer: string
  readonly cleanupId: string
  readonly tags: readonly string[]
}

/** An entry of another process that lives is its own affair, whatever tags it has. */
function isOwn(present: Present, there: Services, { announcer, cleanupId, tags }: Owner): boolean {
  if (!tags.some((tag) => present.tags.includes(tag))) return false
  const other = announcerOf(present)
  if (other === undefined || other === announcer) return true
  const theirs = there.get(heartbeatId(other, cleanupId))
  return theirs === undefined || theirs.isDead
}

/**
 * A process that seems to have died may be about to say that it has not. What it had there gets no traffic until then, and goes by
 * itself; only what has come to us is taken back, as after a rename.
 */
function hasNoOtherKeeper(present: Present, there: Services, { announcer, cleanupId }: Owner): boolean {
  const other = announcerOf(present)
  return other === undefined || other === announcer || !there.has(heartbeatId(other, cleanupId))
}

const isUnwanted = ({ id, meta }: Present, { entries, isWhole, isKept }: AskedHere) =>
  isWhole && !entries.has(id) && !isKept(meta[INSTANCE] ?? '')

/** Many writes, of which one that Consul refuses is a trouble of its own, and one that fails fails all. */
function createAttempts(limited: <T>(work: () => Promise<T>) => Promise<T>) {
  const outcome: Outcome = { entries: 0, written: 0, removed: 0, troubles: [] }
  const denials: unknown[] = []
  const jobs: Promise<unknown>[] = []
  return {
    outcome,
    make(what: string, job: () => Promise<void>): void {
      const attempted = limited(job).catch((error: unknown) => {
        if (!isAboutOne(error)) throw error
        if (codeOf(error) === 'CONSUL_DENIED') denials.push(error)
        outcome.troubles.push(`${what}: ${messageOf(error)}`)
      })
      jobs.push(attempted)
    },
    /** @throws HostlerError also when nothing at all was allowed */
    async settled(): Promise<void> {
      await settled(jobs)
      if (denials.length > 0 && outcome.entries === 0 && outcome.removed === 0) throw denials[0]
    },
  }
}

/** Consul says no to this entry; it may well say yes to another. */
const isAboutOne = (error: unknown): boolean =>
  codeOf(error) === 'CONSUL_REFUSED' || (codeOf(error) === 'CONSUL_DENIED' && !/ACL not found/i.test(messageOf(error)))

/** Waits for all of them, so that none is still under way when the first failure is told. */
async function settled(jobs: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(jobs)) if (result.status === 'rejected') throw result.reason
}

const named = ({ entry }: AskedEntry): string => `container ${printable(entry.container, 120)}`

const taken = (one: AskedEntry, present: Present): string => {
  const whose = announcerOf(present) ?? 'somebody else'
  return `${named(one)}: the id ${present.id} is taken by ${printable(whose, 80)}; set rancon.name, or another id schema`
}
