import type { Clock } from '../../lib/clock.js'
import { codeOf } from '../../lib/errors.js'
import type { EtcdClient } from '../../lib/etcd/client.js'
import type { Logger } from '../../lib/logger.js'
import { isLasting, type Keys } from './keys.js'
import type { Ledger } from './ledger.js'
import type { Settler, Wish } from './settle.js'
import type { Tenure } from './tenure.js'
import type { View } from './view.js'

/** Puts nodes right that nobody is about to write: left behind by who has crashed, or changed by hand. */
export interface Upkeep {
  /** Looks after nodes that have lost a claim with the end of a process. */
  orphaned(nodes: ReadonlySet<string>, signal: AbortSignal): void
  /** Removes what hangs on the shared lease and is claimed by nobody. */
  collect(signal: AbortSignal): Promise<void>
  /** Looks at every node from time to time, until aborted. */
  audit(signal: AbortSignal): Promise<void>
}

export interface UpkeepInputs {
  readonly client: EtcdClient
  readonly keys: Keys
  readonly tenure: Tenure
  readonly view: View
  readonly settle: Settler['settle']
  /** What is not sure there is about to be written anyway. */
  readonly ledger: Ledger
  /** One writer at a time. */
  readonly inTurn: <T>(job: () => Promise<T>) => Promise<T>
  /** A lease that we hold has ended, our own or the shared one. */
  readonly leaseEnded: (signal: AbortSignal) => Promise<void>
  readonly auditMs: number
  readonly clock: Clock
  readonly log: Logger
}

/** Of those who could put a node right the first does so at once, the next ones when they find it undone after as long each. */
const RANK_MS = 500
/** Changes must not have to wait for the whole of an audit. */
const AT_ONCE = 200

export function createUpkeep(inputs: UpkeepInputs): Upkeep {
  const { client, keys, tenure, view, settle, ledger, inTurn, leaseEnded, auditMs, clock, log } = inputs
  const { claimed } = ledger
  let mayCollect = true

  /** Those without a lease are gone already. */
  const living = () => [...view.processes().keys()].filter((process) => !isLasting(process)).sort()

  /** Who has most to do with a node mends it; the others look later whether it was done. */
  function byRank(orphans: ReadonlySet<string>, process: string): Map<number, string[]> {
    const live = living()
    const byDelay = new Map<number, string[]>()
    for (const node of orphans) {
      const claimants = [...view.claims(node).keys()].filter((id) => live.includes(id)).sort()
      const order = [...claimants, ...live.filter((id) => !claimants.includes(id))]
      const delayMs = Math.max(order.indexOf(process), 0) * RANK_MS
      const same = byDelay.get(delayMs)
      if (same) same.push(node)
      else byDelay.set(delayMs, [node])
    }
    return byDelay
  }

  async function mend(delayMs: number, nodes: readonly string[], signal: AbortSignal): Promise<void> {
    try {
      if (delayMs > 0) await clock.sleep(delayMs, signal)
      await inTurn(() => look(nodes, signal))
    } catch (err) {
      if (signal.aborted) return
      log.debug({ err, nodes: nodes.length }, 'nodes could not be looked after')
      if (codeOf(err) === 'ETCD_LEASE') await inTurn(() => leaseEnded(signal)).catch(() => undefined)
    }
  }

  /** Puts right what is not as the claims say. */
  async function look(nodes: readonly string[], signal: AbortSignal): Promise<void> {
    const holder = tenure.current()
    if (!holder) return
    const groups = nodes.filter(ledger.isSure).map((node) => [wishFor(node)])
    const { written, error } = await settle(holder, groups, signal)
    if (error !== undefined) throw error
    if (written > 0)
      log.info({ written, nodes: nodes.length }, 'nodes were put right that others left behind or changed')
  }

  function wishFor(node: string): Wish {
    const value = claimed.get(node)?.value
    return { node, ...(value !== undefined && { value }) }
  }

  async function collect(signal: AbortSignal): Promise<void> {
    const nodes = await onSharedLease(signal)
    const isGhost = (node: string) => !claimed.has(node) && view.claims(node).size === 0
    await look(nodes.filter(isGhost), signal)
  }

  /** Newer etcds let only those see them who may read every one of them. */
  async function onSharedLease(signal: AbortSignal): Promise<readonly string[]> {
    try {
      return await client.keysOf(keys.sharedLease, signal)
    } catch (err) {
      if (codeOf(err) !== 'ETCD_REFUSED') throw err
      if (mayCollect)
        log.warn({ err }, 'nodes that nobody claims any more cannot be looked for; let this user read all of them')
      mayCollect = false
      return []
    }
  }

  /** One of all is enough. */
  async function collectAsFirst(signal: AbortSignal): Promise<void> {
    const [first] = living()
    if (!signal.aborted && first !== undefined && first === tenure.current()?.process) await collect(signal)
  }

  return {
    collect,
    orphaned(nodes, signal) {
      const process = tenure.current()?.process
      if (process === undefined) return
      for (const [delayMs, group] of byRank(nodes, process)) void mend(delayMs, group, signal)
    },
    async audit(signal) {
      while (!signal.aborted) {
        await clock.sleep(auditMs, signal).catch(() => undefined)
        const nodes = [...claimed.keys()]
        for (let from = 0; from < nodes.length && !signal.aborted; from += AT_ONCE)
          await mend(0, nodes.slice(from, from + AT_ONCE), signal)
        await inTurn(() => collectAsFirst(signal)).catch((err) => log.debug({ err }, 'ghosts could not be looked for'))
      }
    },
  }
}
