import type { Clock } from '../../lib/clock.js'
import { createDeferred } from '../../lib/deferred.js'
import { codeOf } from '../../lib/errors.js'
import type { EtcdClient } from '../../lib/etcd/client.js'
import { prefixRange } from '../../lib/etcd/keys.js'
import { mirror } from '../../lib/etcd/mirror.js'
import type { Logger } from '../../lib/logger.js'
import { orAborted } from '../../lib/signals.js'
import { createTurns } from '../../lib/turns.js'
import { createConflicts } from './conflicts.js'
import { type Keys, NO_LEASE } from './keys.js'
import { createSettle, type Group, type Holder, type Wish } from './settle.js'
import type { Tenure } from './tenure.js'
import { createUpkeep } from './upkeep.js'
import { createView, type Stir } from './view.js'

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
   * Makes our claims these. What belongs together goes in one transaction.
   * @throws HostlerError when etcd cannot be reached or refuses
   */
  announce(wanted: Wanted, signal: AbortSignal): Promise<Announced>
  /** Follows the claims of all and keeps ours alive until aborted. `disturbed`: `announce` should be called again. */
  run(disturbed: () => void, signal: AbortSignal): Promise<void>
  withdraw(signal: AbortSignal): Promise<void>
}

export interface Wanted {
  /** By node: its value and the group (a container) that it is written with. */
  readonly nodes: ReadonlyMap<string, WantedNode>
  /** Those that may be others than in the call before. */
  readonly touched: ReadonlySet<string>
  /** Whether a claim stays although nothing says any more that it is wanted. */
  readonly kept: (claimed: WantedNode) => boolean
}

/** The group of what an earlier run has claimed. */
export const INHERITED = ''

export interface WantedNode {
  readonly value: string
  readonly group: string
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
  const settle = createSettle({ client, keys, view })
  const conflicts = createConflicts({ view, keys, log })
  const turns = createTurns()
  /** What we have claimed under the lease that we hold. */
  const claimed = new Map<string, WantedNode>()
  /** Nodes that may have to be written or taken back; undefined: any. */
  let dirty: Set<string> | undefined
  let foreign: ReadonlySet<string> = new Set()
  /** The first word from etcd, good or bad. */
  const heard = createDeferred()
  /** Without being run it looks itself before it announces. */
  let isFollowed = false
  let outage: unknown
  let disturb: () => void = () => undefined

  const upkeep = createUpkeep({
    ...{ client, keys, tenure, view, settle, claimed, auditMs, clock, log },
    isSure: (node) => dirty?.has(node) === false,
    inTurn: turns.take,
    lost: () => lost(),
  })

  function lost(): void {
    tenure.lose()
    startOver()
    disturb()
  }

  function startOver(): void {
    claimed.clear()
    dirty = undefined
  }

  async function announce({ nodes, touched, kept }: Wanted, signal: AbortSignal): Promise<Announced> {
    for (const node of touched) dirty?.add(node)
    if (isFollowed) await orAborted(heard.promise, signal)
    else view.replace(await client.list(prefixRange(keys.registrar), signal))
    if (outage !== undefined) throw outage
    const before = tenure.current()
    const holder = await holdAnew(before, signal)
    const { changed, gone, left } = differenceOf(claimed, dirty, { nodes, kept })
    const skipped = new Set(foreign)
    try {
      const settled = await settle(holder, groupsOf([...changed, ...gone]), signal)
      for (const { node, value, group } of changed) note(node, { value, group }, settled.foreign)
      for (const { node } of gone) claimed.delete(node)
      for (const { node } of changed) if (!settled.foreign.includes(node)) skipped.delete(node)
      for (const node of settled.foreign) if (nodes.has(node)) skipped.add(node)
    } catch (error) {
      // How far it came is not known; what is dirty stays so, and is written again.
      if (codeOf(error) === 'ETCD_LEASE') lost()
      throw error
    }
    foreign = new Set([...skipped].filter((node) => nodes.has(node)))
    dirty = new Set([...left, ...foreign])
    // What those left behind who ended before we came, and nobody wants.
    if (holder !== before && holder.lease !== NO_LEASE) await upkeep.collect(signal)
    conflicts.look(
      [...changed, ...gone].map(({ node }) => node),
      claimed,
      holder.process,
    )
    return {
      claims: claimed.size,
      written: changed.length,
      removed: gone.length,
      troubles: [...[...foreign].map(foreignTrouble), ...conflicts.troubles()],
    }
  }

  function note(node: string, wanted: WantedNode, skipped: readonly string[]): void {
    if (skipped.includes(node)) claimed.delete(node)
    else claimed.set(node, wanted)
  }

  /** With a lease that was taken over come the claims on it. */
  async function holdAnew(before: Holder | undefined, signal: AbortSignal) {
    const holder = await tenure.hold(signal)
    if (holder === before) return holder
    startOver()
    for (const [node, { value }] of view.claimsBy(holder.process)) claimed.set(node, { value, group: INHERITED })
    return holder
  }

  function stirred({ nodes, orphans, ended }: Stir, signal: AbortSignal): void {
    const holder = tenure.current()
    if (!holder) return
    const isStolen = tenure.isStolen(view.processes().get(holder.process))
    if (isStolen) log.warn('another process has taken over our lease; do two of them share HOSTLER_STATE_DIR?')
    if (isStolen || ended.has(holder.process)) {
      lost()
      return
    }
    if (conflicts.look(nodes, claimed, holder.process)) disturb()
    upkeep.orphaned(orphans, signal)
  }

  return {
    announce: (wanted, signal) => turns.take(() => announce(wanted, signal)),
    async run(disturbed, signal) {
      disturb = disturbed
      isFollowed = true
      const events = {
        all: (listing: Parameters<typeof view.replace>[0]) => {
          stirred(view.replace(listing), signal)
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
        tenure.keep(() => {
          if (!tenure.current()) startOver()
          disturbed()
        }, signal),
        upkeep.audit(signal),
      ])
    },
    async withdraw(signal) {
      const holder = tenure.current()
      if (!holder) return
      await settle(
        holder,
        [...claimed.keys()].map((node) => [{ node }]),
        signal,
      )
      claimed.clear()
      await tenure.end(signal)
    },
  }
}

const foreignTrouble = (node: string): string =>
  `${node} is in etcd already and is not Hostler's; it stays as it is: remove it, or let the policy write elsewhere`

/** What is to be written, each with the group that it is written with; without a value it is to go. */
interface Difference {
  readonly node: string
  readonly group: string
  readonly value?: string
}

function differenceOf(
  claimed: ReadonlyMap<string, WantedNode>,
  dirty: ReadonlySet<string> | undefined,
  { nodes, kept }: Pick<Wanted, 'nodes' | 'kept'>,
) {
  const changed: (Difference & WantedNode)[] = []
  const gone: Difference[] = []
  /** To be looked at again the next time. */
  const left: string[] = []
  for (const node of dirty ?? new Set([...nodes.keys(), ...claimed.keys()])) {
    const [wanted, have] = [nodes.get(node), claimed.get(node)]
    if (wanted && have?.value !== wanted.value) changed.push({ node, ...wanted })
    else if (!wanted && have && !kept(have)) gone.push({ node, group: have.group })
    else if (!wanted && have) left.push(node)
  }
  return { changed, gone, left }
}

/** What one container wants, and wants no longer, is written at once. */
function groupsOf(differences: readonly Difference[]): Iterable<Group> {
  const groups = new Map<string, Wish[]>()
  for (const { group: name, ...wish } of differences) {
    const group = groups.get(name)
    if (group) group.push(wish)
    else groups.set(name, [wish])
  }
  return groups.values()
}
