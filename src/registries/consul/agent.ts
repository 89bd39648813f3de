import type { Logger } from 'pino'
import { z } from 'zod'
import type { Clock } from '../../lib/clock.js'
import type { ConsulAccess } from '../../lib/consul/address.js'
import { type ConsulClient, createConsulClient } from '../../lib/consul/client.js'
import { heartbeatId, INSTANCE } from '../../lib/consul/meta.js'
import { codeOf, HostlerError } from '../../lib/errors.js'
import { printable } from '../../lib/printable.js'
import { createAttempts, type Outcome } from './attempts.js'
import { createHeartbeat } from './heartbeat.js'
import { type Leftovers, nodesWithTags } from './leftovers.js'
import { cleanupTags, hasNoOtherKeeper, isOwn, type Services } from './ownership.js'
import { announcerOf, type Present, readPresent } from './present.js'
import { type AskedEntry, createWriter } from './writer.js'

/** One agent of Consul, and what of ours is there. */
export interface ConsulAgent {
  /** Its address, without user and password. */
  readonly shown: string
  sync(asked: AskedHere, signal: AbortSignal): Promise<Outcome>
  /** How many services it has; changes nothing. @throws HostlerError also when not all of them may be read */
  count(signal: AbortSignal): Promise<number>
  /** What its node is called; undefined where the token may not know. */
  node(signal: AbortSignal): Promise<string | undefined>
  /** Keeps what is there alive until aborted. `lost`: it is to be looked at anew. */
  run(lost: () => void, signal: AbortSignal): Promise<void>
  withdraw(signal: AbortSignal): Promise<void>
  /** Where in the whole cluster something has our cleanup tag. */
  leftovers(signal: AbortSignal): Promise<Leftovers>
  close(): Promise<void>
}

export interface AskedHere {
  /** By id. */
  readonly entries: ReadonlyMap<string, AskedEntry>
  /** What is missing here shall go. */
  readonly isWhole: boolean
  /** Whether the entries of an instance stay although they are not asked for, by its key. */
  readonly isKept: (instance: string) => boolean
  /** Which of these ids stay although they are not asked for here. */
  readonly spared: (ids: readonly string[]) => Promise<ReadonlySet<string>>
  /** Look at what is there, rather than remember it. */
  readonly afresh: boolean
}

export interface AgentInputs {
  readonly access: ConsulAccess
  readonly announcer: string
  readonly cleanupId: string
  /** A word that this process alone has. */
  readonly process: string
  /** 0: without a heartbeat. */
  readonly leaseMs: number
  /** Older than that, what is remembered of the agent counts no more. */
  readonly lookMs: number
  /** It is looked after even while nothing is announced there. */
  readonly isOnlyOne: boolean
  readonly clock: Clock
  readonly log: Logger
}

export function createConsulAgent(inputs: AgentInputs): ConsulAgent {
  const { clock, lookMs, isOnlyOne } = inputs
  const client = createConsulClient(inputs.access)
  const heartbeat = inputs.leaseMs > 0 ? createHeartbeat({ ...inputs, client }) : undefined
  const writer = createWriter(client)
  const isOurs = (present: Present, there: Services) => isOwn(present, there, inputs)
  const isLeftToUs = (present: Present, there: Services) => hasNoOtherKeeper(present, there, inputs)
  /** As far as we know; undefined: to be looked at. */
  let known: Services | undefined
  let lookedAt = clock.elapsed()
  let node: Promise<string | undefined> | undefined

  async function thereNow({ afresh, entries }: AskedHere, signal: AbortSignal): Promise<Services> {
    const at = clock.elapsed()
    if (known && !afresh) return known
    known = undefined
    known = await look({ isKeeping: isOnlyOne || entries.size > 0, isWriting: entries.size > 0 }, signal)
    lookedAt = at
    return known
  }

  /** @throws HostlerError also when the agent leaves out of its list what is there: for want of rights */
  async function look({ isKeeping, isWriting }: Look, signal: AbortSignal): Promise<Services> {
    const beats = isKeeping ? heartbeat : undefined
    await beats?.ensure(signal)
    const there = await readServices(client, signal)
    if (!beats && !isWriting && ![...there.values()].some((one) => isOurs(one, there))) await mayRead(client, signal)
    if (!heartbeat) refuseRival(there)
    else if (there.has(heartbeat.id)) heartbeat.seen(there.get(heartbeat.id))
    if (!beats || there.has(beats.id)) return there
    const path = `/agent/service/${encodeURIComponent(beats.id)}`
    const { found } = await client.get(path, signal, { mayMiss: true })
    if (found) return there
    beats.seen(undefined)
    await beats.ensure(signal)
    return readServices(client, signal)
  }

  /** What we would announce without a lease, a process of our name that lives would take back, and we what it has announced. */
  function refuseRival(there: Services): void {
    const living = there.get(heartbeatId(inputs.announcer, inputs.cleanupId))
    if (!living || living.isDead) return
    throw new HostlerError(
      'CONSUL_SHARED',
      `a process that is called ${printable(inputs.announcer, 120)} too lives and announces at ${client.shown}; give this one a cleanup id of its own (HOSTLER_CONSUL_CLEANUP_ID, -b cleanup_id=…), or wait for the end of the other one's lease`,
    )
  }

  async function sync(asked: AskedHere, signal: AbortSignal): Promise<Outcome> {
    const there = await thereNow(asked, signal)
    const attempts = createAttempts()
    const { outcome } = attempts
    /** Instances of which something cannot be announced as they ask: what was announced of them before stays. */
    const unmet = new Set<string | undefined>()
    for (const [id, one] of asked.entries) {
      const instance = one.entry.service.Meta[INSTANCE]
      const present = there.get(id)
      if (present && writer.isSettled(one, present)) outcome.entries++
      else if (present && !isOurs(present, there)) {
        outcome.troubles.push(taken(one, present))
        unmet.add(instance)
      } else if (present || one.maintenance === undefined) {
        // One that gets no traffic is not announced before it did.
        const write = () => writeOne(one, present)
        attempts.make(named(one), write, () => void unmet.add(instance))
      }
    }
    // What takes its place is there before an entry goes.
    await attempts.settled()
    const unwanted = unwantedOf(there, asked).filter(({ meta }) => !unmet.has(meta[INSTANCE]))
    const spared = await asked.spared(unwanted.map(({ id }) => id))
    for (const { id } of unwanted)
      if (!spared.has(id)) attempts.make(`entry ${printable(id, 200)}`, () => removeOne(id))
    await attempts.settled()
    const rival = heartbeat?.trouble()
    if (rival !== undefined) outcome.troubles.push(rival)
    return attempts.conclude()

    async function writeOne(one: AskedEntry, before: Present | undefined): Promise<void> {
      const { present, isChanged } = await writer.write(one, before, signal)
      there.set(present.id, present)
      outcome.entries++
      if (isChanged) outcome.written++
    }

    async function removeOne(id: string): Promise<void> {
      await writer.remove(id, signal)
      there.delete(id)
      outcome.removed++
    }
  }

  function unwantedOf(there: Services, { entries, isWhole, isKept }: AskedHere): Present[] {
    if (!isWhole) return []
    const instances = new Set([...entries.values()].map(({ entry }) => entry.service.Meta[INSTANCE]))
    return [...there.values()].filter(
      (present) =>
        !entries.has(present.id) &&
        !isKept(present.meta[INSTANCE] ?? '') &&
        isOurs(present, there) &&
        (isLeftToUs(present, there) || instances.has(present.meta[INSTANCE])),
    )
  }

  return {
    shown: client.shown,
    async sync(asked, signal) {
      const isOld = known !== undefined && !asked.afresh && clock.elapsed() - lookedAt >= lookMs
      try {
        const first = await sync(asked, signal)
        if (!isOld) return first
        // After what has changed, which is not to wait for a look at everything.
        const { written, removed, ...rest } = await sync({ ...asked, afresh: true }, signal)
        return { ...rest, written: first.written + written, removed: first.removed + removed }
      } catch (error) {
        known = undefined
        throw error
      }
    },
    async count(signal) {
      await mayRead(client, signal)
      return (await readServices(client, signal)).size
    },
    node(signal) {
      node ??= nodeName(client, signal).catch((error: unknown) => {
        node = undefined
        throw error
      })
      return node
    },
    async run(lost, signal) {
      const forget = () => {
        known = undefined
        lost()
      }
      await heartbeat?.run(forget, signal)
    },
    async withdraw(signal) {
      const there = await look({ isKeeping: false, isWriting: false }, signal)
      const attempts = createAttempts()
      for (const present of there.values())
        if (isOurs(present, there) && isLeftToUs(present, there))
          attempts.make(present.id, () => writer.remove(present.id, signal))
      await attempts.settled()
      await heartbeat?.remove(signal)
      attempts.conclude()
    },
    leftovers: (signal) => nodesWithTags(client, cleanupTags(inputs.cleanupId), signal),
    close: () => client.close(),
  }
}

interface Look {
  /** With our heartbeat there, without which nothing of ours may be. */
  readonly isKeeping: boolean
  /** Something will be written: a lack of rights shows then. */
  readonly isWriting: boolean
}

async function readServices(client: ConsulClient, signal: AbortSignal): Promise<Services> {
  const services = await client.get('/agent/services', signal)
  const checks = await client.get('/agent/checks', signal)
  return readPresent(services.value, checks.value)
}

/**
 * Lists leave out what a token may not read, without a word. This call is refused instead.
 * @throws HostlerError `CONSUL_DENIED`
 */
async function mayRead(client: ConsulClient, signal: AbortSignal): Promise<void> {
  await client.get('/agent/health/service/name/hostler-nobody', signal, { mayMiss: true })
}

const selfSchema = z.object({ Config: z.object({ NodeName: z.string() }) })

async function nodeName(client: ConsulClient, signal: AbortSignal): Promise<string | undefined> {
  try {
    return selfSchema.safeParse((await client.get('/agent/self', signal)).value).data?.Config.NodeName
  } catch (error) {
    if (codeOf(error) === 'CONSUL_DENIED') return undefined
    throw error
  }
}

const named = ({ entry }: AskedEntry): string => `container ${printable(entry.container, 120)}`

const taken = (one: AskedEntry, present: Present): string => {
  const whose = announcerOf(present) ?? 'somebody else'
  return `${named(one)}: the id ${present.id} is taken by ${printable(whose, 80)}; set rancon.name, or another id schema`
}
