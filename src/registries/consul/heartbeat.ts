import type { Logger } from 'pino'
import { z } from 'zod'
import { createAlarm } from '../../lib/alarm.js'
import type { Clock } from '../../lib/clock.js'
import type { ConsulClient } from '../../lib/consul/client.js'
import { ANNOUNCER, HEARTBEAT_NAME, heartbeatId, PROCESS } from '../../lib/consul/meta.js'
import { meta } from '../../lib/consul/shapes.js'
import { codeOf, messageOf } from '../../lib/errors.js'
import { ghostMs } from './entries.js'
import type { Present } from './present.js'
import { createRivalry } from './rivalry.js'
import { deregister } from './writer.js'

/**
 * A service of our own in one agent, whose check says that this process lives; every entry follows it. One call at half the
 * lease keeps ten thousand entries healthy, and they turn critical together when it does not come.
 *
 * INVARIANTS
 * - It is there before any entry, and goes after the last one: Consul calls a check that follows nothing healthy.
 * - Whoever takes it away, or an agent that comes up without it, is noticed within a moment.
 */
export interface Heartbeat {
  readonly id: string
  /** Makes sure that it is there. */
  ensure(signal: AbortSignal): Promise<void>
  /** What the agent told about it: there, and whose, or not. */
  seen(present: Pick<Present, 'meta'> | undefined): void
  /** That another process lives under the same name; undefined where none does. */
  trouble(): string | undefined
  /** Keeps it passing until aborted. `lost` is called when it was there and is not any more, or the agent came back. */
  run(lost: () => void, signal: AbortSignal): Promise<void>
  remove(signal: AbortSignal): Promise<void>
}

export interface HeartbeatInputs {
  readonly client: ConsulClient
  readonly announcer: string
  readonly cleanupId: string
  /** A word that this process alone has. */
  readonly process: string
  readonly leaseMs: number
  readonly clock: Clock
  readonly log: Logger
}

/** Longer than a ghost may stay that follows it, with the time that an agent takes to look for ghosts. */
const AFTERLIFE_MS = 600_000
const RETRY_MS = 500

export function createHeartbeat(inputs: HeartbeatInputs): Heartbeat {
  const { client, announcer, cleanupId, process, leaseMs, clock, log } = inputs
  const rivalry = createRivalry({ ...inputs, elapsed: clock.elapsed })
  const id = heartbeatId(announcer, cleanupId)
  const check = `${id}:ttl`
  const beats = createAlarm(clock)
  const arrivals = createAlarm(clock)
  let isThere = false
  let failing = false
  let beatAt = clock.elapsed()

  async function register(signal: AbortSignal): Promise<void> {
    const seconds = (ms: number) => `${Math.ceil(ms / 1000)}s`
    const ttl = { CheckID: check, Name: `${announcer} lives`, TTL: `${leaseMs}ms`, Status: 'passing' }
    await client.put(
      '/agent/service/register',
      {
        ...{
          ID: id,
          Name: HEARTBEAT_NAME,
          Tags: ['hostler-announcer'],
          Meta: { [ANNOUNCER]: announcer, [PROCESS]: process },
        },
        Check: { ...ttl, DeregisterCriticalServiceAfter: seconds(ghostMs(leaseMs) + AFTERLIFE_MS) },
      },
      signal,
    )
    await client.put(`/agent/check/pass/${encodeURIComponent(check)}`, undefined, signal)
    beatAt = clock.elapsed()
    isThere = true
    rivalry.claimed()
    arrivals.ring()
  }

  /** @returns how long until the next one */
  async function beat(lost: () => void, signal: AbortSignal): Promise<number | undefined> {
    if (!isThere) return undefined
    try {
      if (rivalry.mayClaim()) await register(signal)
      const path = `/agent/check/pass/${encodeURIComponent(check)}`
      const { found } = await client.put(path, undefined, signal, { mayMiss: true })
      if (!found) miss(lost)
      else {
        recovered()
        // Taken for dead meanwhile, others may have cleared up after us.
        if (clock.elapsed() - beatAt > leaseMs) lost()
        beatAt = clock.elapsed()
      }
      return leaseMs / 2
    } catch (error) {
      if (signal.aborted) return undefined
      if (/does not have associated TTL|Unknown check/i.test(messageOf(error))) {
        miss(lost)
        return leaseMs / 2
      }
      complain(error)
      return RETRY_MS
    }
  }

  function miss(lost: () => void): void {
    if (!isThere) return
    isThere = false
    log.warn({ agent: client.shown }, 'Consul does not know what was announced; it is announced again')
    lost()
  }

  function complain(error: unknown): void {
    if (!failing)
      log.warn(
        { agent: client.shown, reason: messageOf(error) },
        'Consul does not answer; what is announced there turns critical at the end of the lease',
      )
    failing = true
  }

  function recovered(): void {
    if (failing) log.info({ agent: client.shown }, 'Consul answers again')
    failing = false
  }

  async function beatOn(lost: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await beats.wait(await beat(lost, signal), signal)
  }

  /** A query that the agent answers when the service changes: an agent that ends is noticed by its end. */
  async function watch(lost: () => void, signal: AbortSignal): Promise<void> {
    let hash: string | undefined
    let broke = false
    while (!signal.aborted) {
      if (!isThere) {
        hash = undefined
        beats.ring()
        await arrivals.wait(undefined, signal)
        beats.ring()
        continue
      }
      try {
        const path = `/agent/service/${encodeURIComponent(id)}`
        const answer =
          hash === undefined
            ? await client.get(path, signal, { mayMiss: true })
            : await client.wait(path, { hash, waitMs: WATCH_MS, mayMiss: true }, signal)
        if (!answer.found) miss(lost)
        else if (rivalry.met(processIn(answer.value)) || broke) lost()
        if (broke) beats.ring()
        hash = answer.hash
        broke = false
      } catch (error) {
        if (signal.aborted) return
        // What an agent says no to is no sign of its state; `ensure` will tell.
        broke ||= codeOf(error) === 'CONSUL'
        hash = undefined
        await clock.sleep(RETRY_MS, signal).catch(() => undefined)
      }
    }
  }

  return {
    id,
    async ensure(signal) {
      if (!isThere || rivalry.mayClaim()) await register(signal)
    },
    seen(present) {
      isThere = present !== undefined
      if (!present) return
      rivalry.met(present.meta[PROCESS])
      arrivals.ring()
    },
    trouble: () => rivalry.trouble(client.shown),
    async run(lost, signal) {
      await Promise.all([beatOn(lost, signal), watch(lost, signal)])
    },
    async remove(signal) {
      isThere = false
      await deregister(client, id, signal)
    },
  }
}

const serviceSchema = z.object({ Meta: meta })

const processIn = (service: unknown): string | undefined => serviceSchema.safeParse(service).data?.Meta[PROCESS]

/** An agent that has vanished without a word is noticed by the next beat. */
const WATCH_MS = 300_000
