import type { Clock } from '../../lib/clock.js'
import { createDeferred } from '../../lib/deferred.js'
import { codeOf } from '../../lib/errors.js'
import type { EtcdClient } from '../../lib/etcd/client.js'
import { type Listing, prefixRange } from '../../lib/etcd/keys.js'
import { mirror } from '../../lib/etcd/mirror.js'
import type { Logger } from '../../lib/logger.js'
import { orAborted } from '../../lib/signals.js'
import { createTurns } from '../../lib/turns.js'
import { createConflicts } from './conflicts.js'
import { createDoubts } from './doubts.js'
import { type Keys, NO_LEASE } from './keys.js'
import { createLedger, type Wanted } from './ledger.js'
import { createSettler, type Group, type Wish } from './settle.js'
import type { Tenure } from './tenure.js'
import { createUpkeep } from './upkeep.js'
import { createView, type Stir } from './view.js'

export { INHERITED, type Wanted, type WantedNode } from './ledger.js'

/**
 * Keeps nodes in etcd together with all other Hostlers that share the prefix. What each of them wants is a claim on its own
 * lease; a node has the smallest value that is claimed, and hangs on a lease that all of them keep alive.
 *
 * - §0 One container, one node: it is set, kept, changed and removed with its container.
 * - §1 Several containers, the same value: kept while any of them wants it.
 * - §2 Several containers, different values: the smallest one, with a warning, until they agree.
 * - §3 The same across machines, the same value: whoever leaves takes only its own claim along.
 * - §4 The same across machines, different values: the smallest one everywhere, with a warning on every side.
 *
 * Whoever crashes leaves claims that end with its lease; those that are left then look after its nodes. When nobody is left,
 * the shared lease ends, and with it every node.
 */
export interface Registrar {
  /**
   * Makes our claims these. What belongs together goes in one transaction. What etcd takes not, or lets us not write, is told
   * as a trouble, and hinders nothing else.
   * @throws HostlerError when etcd cannot be reached, or something could not be written for another reason
   */
  announce(wanted: Wanted, signal: AbortSignal): Promise<Announced>
  /** Follows the claims of all and keeps ours alive until aborted. `disturbed`: `announce` should be called again. */
  run(disturbed: () => void, signal: AbortSignal): Promise<void>
  withdraw(signal: AbortSignal): Promise<void>
}

export interface Announced {
  readonly claims: number
  readonly written: number
  readonly removed: number
  readonly troubles: readonly string[]
}

export interface RegistrarInputs {
  readonly client: EtcdClient
  readonly keys: Keys
  readonly tenure: Tenure
  /** How often every node is looked at. */
  readonly auditMs: number
  readonly clock: Clock
  readonly log: Logger
}

export function createRegistrar({ client, keys, tenure, auditMs, clock, log }: RegistrarInputs): Registrar {
  const view = createView(keys)
  const settler = createSettler({ client, keys, view })
  const conflicts = createConflicts({ view, keys, log })
  const turns = createTurns()
  const ledger = createLedger({ retryMs: auditMs, clock })
  /** The first word from etcd, good or bad. */
  const heard = createDeferred()
  /** Without being run it looks itself before it announces. */
  let isFollowed = false
  let outage: unknown
  let disturb: () => void = () => undefined

  const upkeep = createUpkeep({
    ...{ client, keys, tenure, view, ledger, auditMs, clock, log },
    settle: settler.settle,
    inTurn: turns.take,
    leaseEnded: (signal) => leaseEnded(signal),
  })
  const doubts = createDoubts({ view, ledger, settler, tenure, inTurn: turns.take, disturb: () => disturb() })

  function lost(): void {
    tenure.lose()
    settler.forget()
    ledger.startOver([])
    disturb()
  }

  /** One of our leases has ended: with our own went our claims, with the shared one every node. */
  function ended(): void {
    if (!tenure.current()) {
      lost()
      return
    }
    ledger.doubt([...ledger.claimed.keys()])
    disturb()
  }

  async function leaseEnded(signal: AbortSignal): Promise<void> {
    await tenure.check(signal)
    ended()
  }

  async function announce(wanted: Wanted, signal: AbortSignal): Promise<Announced> {
    ledger.touch(wanted.touched)
    if (isFollowed) await orAborted(heard.promise, signal)
    else replaced(await client.list(prefixRange(keys.registrar), signal))
    if (outage !== undefined) throw outage
    const before = tenure.current()
    const holder = await tenure.hold(signal)
    if (holder !== before) {
      // With a lease that was taken over come the claims on it; what became of the nodes meanwhile nobody has seen.
      ledger.startOver(view.claimsBy(holder.process))
      ledger.doubt([...ledger.claimed.keys()])
    }
    const difference = ledger.difference(wanted)
    const groups = groupsOf([...difference.changed, ...difference.gone])
    const settled = await settler.settle(holder, groups, signal)
    const { written, removed } = ledger.settled(difference, wanted.nodes, settled)
    if (settled.error !== undefined) {
      if (codeOf(settled.error) === 'ETCD_LEASE') await leaseEnded(signal)
      throw settled.error
    }
    // What those left behind who ended before we came, and nobody wants.
    if (holder !== before && holder.lease !== NO_LEASE) await upkeep.collect(signal)
    conflicts.look(
      [...difference.changed, ...difference.gone].map(({ node }) => node),
      ledger.claimed,
      holder.process,
    )
    return {
      ...{ claims: ledger.claimed.size, written, removed },
      troubles: [...ledger.troubles(), ...conflicts.troubles()],
    }
  }

  function replaced(listing: Listing): Stir {
    const stir = view.replace(listing)
    if (stir.isOtherStore) {
      log.warn('etcd has lost its state, or has an older one; what is announced there is compared anew')
      settler.forget()
    }
    return stir
  }

  function stirred({ nodes, orphans, ended: left, isOtherStore }: Stir, signal: AbortSignal): void {
    const holder = tenure.current()
    if (!holder) return
    const isStolen = tenure.isStolen(view.processes().get(holder.process))
    if (isStolen) log.warn('another process has taken over our lease; do two of them share HOSTLER_STATE_DIR?')
    if (isStolen || left.has(holder.process)) {
      lost()
      return
    }
    if (isOtherStore) doubts.all()
    else doubts.look(nodes, holder)
    if (conflicts.look(nodes, ledger.claimed, holder.process)) disturb()
    upkeep.orphaned(orphans, signal)
  }

  return {
    announce: (wanted, signal) => turns.take(() => announce(wanted, signal)),
    async run(disturbed, signal) {
      disturb = disturbed
      isFollowed = true
      const events = {
        all: (listing: Listing) => {
          stirred(replaced(listing), signal)
          outage = undefined
          heard.resolve()
          disturbed()
        },
        changed: (changes: Parameters<typeof view.apply>[0], revision: bigint) =>
          stirred(view.apply(changes, revision), signal),
        failed: (error: unknown) => {
          outage = error
          heard.resolve()
          disturbed()
        },
      }
      await Promise.all([
        mirror({ client, range: prefixRange(keys.registrar), clock }, events, signal),
        tenure.keep(() => void turns.take(async () => ended()), signal),
        upkeep.audit(signal),
      ])
    },
    async withdraw(signal) {
      const holder = tenure.current()
      if (!holder) return
      const groups = [...ledger.nodes()].map((node) => [{ node }])
      const { error } = await settler.settle(holder, groups, signal)
      if (error !== undefined) throw error
      ledger.startOver([])
      await tenure.end(signal)
    },
  }
}

/** What one container wants, and wants no longer, is written at once. */
function groupsOf(differences: Iterable<Wish & { readonly group: string }>): Iterable<Group> {
  const groups = new Map<string, Wish[]>()
  for (const { group: name, ...wish } of differences) {
    const group = groups.get(name)
    if (group) group.push(wish)
    else groups.set(name, [wish])
  }
  return groups.values()
}
