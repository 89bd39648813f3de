import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createAlarm } from '../../lib/alarm.js'
import { writeAtomically } from '../../lib/atomic-file.js'
import type { Clock } from '../../lib/clock.js'
import type { EtcdClient } from '../../lib/etcd/client.js'
import type { Logger } from '../../lib/logger.js'
import { createTurns } from '../../lib/turns.js'
import { type Keys, lastingProcess, NO_LEASE } from './keys.js'
import type { Holder } from './settle.js'
import type { ProcessEntry } from './view.js'

/**
 * Our place among the processes that share a prefix: a lease of our own, whose id is our name, and the shared one.
 *
 * INVARIANTS
 * - All of our claims hang on one lease; when it is lost, so are they, and a new one makes a new process of us.
 * - After a restart the lease of the run before is taken over while it lasts, so that nothing is announced twice.
 */
export interface Tenure {
  /** Who we are; asks for leases first where there are none. */
  hold(signal: AbortSignal): Promise<Holder>
  /** Our lease has ended, or somebody else has it. */
  lose(): void
  current(): Holder | undefined
  /** Whether somebody else has written since who holds our lease: a process that keeps its state in the same folder. */
  isStolen(entry: ProcessEntry | undefined): boolean
  /** Refreshes both leases at half their time until aborted; calls `lost` when they had ended. */
  keep(lost: () => void, signal: AbortSignal): Promise<void>
  /** Refreshes both at once, after a word of etcd's that one has ended. */
  check(signal: AbortSignal): Promise<void>
  /** Ends our lease, and with it our claims. */
  end(signal: AbortSignal): Promise<void>
}

export interface TenureInputs {
  readonly client: EtcdClient
  readonly keys: Keys
  /** What we are called. */
  readonly name: string
  /** 0: none; what is announced lasts until it is taken back under the same name. */
  readonly leaseMs: number
  /** Where the lease of this run is kept for the next one. */
  readonly path: string
  readonly clock: Clock
  readonly log: Logger
}

export function createTenure({ client, keys, name, leaseMs, path, clock, log }: TenureInputs): Tenure {
  const token = randomUUID()
  const turns = createTurns()
  const taken = createAlarm(clock)
  const ttlSeconds = Math.ceil(leaseMs / 1000)
  let holder: Holder | undefined
  /** The shorter of both leases, as etcd tells: the shared one may be that of somebody who has shorter ones. */
  let shortestSeconds = ttlSeconds
  let isFirst = true
  let takenAt = 0n

  async function take(signal: AbortSignal): Promise<Holder> {
    const lease = leaseMs === 0 ? NO_LEASE : ((await takenOver(signal)) ?? (await client.grant(ttlSeconds, signal)))
    if (lease !== NO_LEASE) await share(signal)
    const process = lease === NO_LEASE ? lastingProcess(name) : BigInt(lease).toString(16)
    const said = { name, token, since: new Date(clock.now()).toISOString() }
    const put = { key: Buffer.from(keys.process(process)), value: Buffer.from(JSON.stringify(said)), lease }
    const { header } = await client.txn({ success: [{ request_put: put }] }, signal)
    takenAt = BigInt(header.revision)
    isFirst = false
    if (lease === NO_LEASE) return { process, lease }
    await writeAtomically(path, JSON.stringify({ lease })).catch((err) =>
      log.warn({ err, path }, 'the lease could not be noted; after a restart old values may last until it ends'),
    )
    return { process, lease }
  }

  /** The lease of the run before, where there was one and it lasts. */
  async function takenOver(signal: AbortSignal): Promise<string | undefined> {
    if (!isFirst) return undefined
    const lease = await readLease(path)
    return lease !== undefined && (await client.keepAlive(lease, signal)) > 0 ? lease : undefined
  }

  /** Several may ask for the shared lease at once; whoever comes second finds it there. */
  async function share(signal: AbortSignal): Promise<void> {
    const left = await client.keepAlive(keys.sharedLease, signal)
    if (left === 0) await client.grant(ttlSeconds, signal, keys.sharedLease)
  }

  /** @returns whether nothing was lost */
  async function refresh(signal: AbortSignal): Promise<boolean> {
    if (!holder || holder.lease === NO_LEASE) return true
    const [own, shared] = await Promise.all([
      client.keepAlive(holder.lease, signal),
      client.keepAlive(keys.sharedLease, signal),
    ])
    if (own === 0) {
      holder = undefined
      return false
    }
    shortestSeconds = Math.min(ttlSeconds, own, shared || ttlSeconds)
    if (shared > 0) return true
    await share(signal)
    taken.ring()
    return false
  }

  return {
    hold: (signal) =>
      turns.take(async () => {
        if (holder) return holder
        holder = await take(signal)
        taken.ring()
        return holder
      }),
    lose: () => {
      holder = undefined
    },
    current: () => holder,
    async check(signal) {
      await turns.take(() => refresh(signal))
    },
    isStolen: (entry) => !!entry && leaseMs > 0 && entry.modRevision > takenAt && !entry.said.includes(token),
    async keep(lost, signal) {
      while (!signal.aborted) {
        let isFailed = false
        try {
          if (!(await turns.take(() => refresh(signal)))) lost()
        } catch {
          isFailed = true
        }
        // What fails is tried again soon: half of the time is left for it.
        const waitMs = Math.max(shortestSeconds * 1000, 1000) / 2
        await taken.wait(isFailed ? Math.min(waitMs, RETRY_MS) : waitMs, signal)
      }
    },
    async end(signal) {
      const { lease, process } = holder ?? {}
      holder = undefined
      if (process === undefined || lease === undefined) return
      if (lease !== NO_LEASE) return client.revoke(lease, signal)
      await client.txn({ success: [{ request_delete_range: { key: Buffer.from(keys.process(process)) } }] }, signal)
    },
  }
}

const RETRY_MS = 1000

async function readLease(path: string): Promise<string | undefined> {
  try {
    const { lease } = JSON.parse(await readFile(path, 'utf8')) as { lease?: unknown }
    return typeof lease === 'string' && /^[1-9]\d{0,18}$/.test(lease) ? lease : undefined
  } catch {
    return undefined
  }
}
