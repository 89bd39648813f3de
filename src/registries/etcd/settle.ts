import type { ICompare, IRequestOp, IResponseOp, ITxnRequest, ITxnResponse } from 'etcd3'
import { HostlerError } from '../../lib/errors.js'
import type { EtcdClient } from '../../lib/etcd/client.js'
import { type EtcdEntry, entryOf } from '../../lib/etcd/keys.js'
import { createLimit } from '../../lib/limit.js'
import { isLasting, type Keys, NO_LEASE } from './keys.js'
import { type Claim, prevailing, type View } from './view.js'

/** A node, and what we claim for it; without a value we claim nothing, or no longer. */
export interface Wish {
  readonly node: string
  readonly value?: string
}

/** Who we are, and the lease that our claims hang on. */
export interface Holder {
  readonly process: string
  readonly lease: string
}

export interface Settled {
  /** Changes of nodes and of our claims. */
  readonly written: number
  /** Nodes that are there, and are not Hostler's: they were left alone, and so was our claim. */
  readonly foreign: readonly string[]
}

/**
 * Brings our claims to these nodes to what is wished, and the nodes themselves to the smallest value that is claimed by
 * anybody, each claim together with its node in one transaction.
 *
 * INVARIANTS
 * - A transaction goes through only if no claim was made to its nodes since those that it was made from, and if the claim
 *   whose value it writes is still there. So whoever writes a node, and however old his knowledge is, it is the smallest.
 * - A node changes only from a value that is known to the value that follows from the claims: there is no moment between
 *   at which it is missing or has a value that nobody claims.
 * - A node without claims that does not hang on our lease is somebody else's, and is never written to.
 */
export type Settle = (holder: Holder, groups: Iterable<Group>, signal: AbortSignal) => Promise<Settled>

/** What belongs together, and is written in one transaction: the nodes of one container. */
export type Group = readonly Wish[]

/** etcd takes 128 comparisons and as many operations (`--max-txn-ops`); a wish has at most three of them. */
const BATCH = 40
const BATCH_BYTES = 512 << 10
/** etcd takes several to its disk at once. */
const AT_ONCE = 4
/** As often others may be faster than we are, with one group and with many. */
const MAX_TRIES = 20
const TRIES_TOGETHER = 3

export function createSettle({ client, keys, view }: { client: EtcdClient; keys: Keys; view: View }): Settle {
  /** Up to which revision it is known that nobody else made a claim to a node: of our own last transaction. */
  const knownUpTo = new Map<string, bigint>()
  /** Our own claims, which the view may not have seen yet. */
  const own = new Map<string, Claim | undefined>()

  /** What the view says, with what we know better. */
  function knowledgeOf(node: string, { process }: Holder): Knowledge {
    const others = [...view.claims(node).values()].filter((claim) => claim.process !== process)
    const known = knownUpTo.get(node)
    const isNewer = known !== undefined && known > view.revision
    return {
      others,
      own: isNewer ? own.get(node) : view.claims(node).get(process),
      revision: isNewer ? known : view.revision,
    }
  }

  /** What the view has seen too need not be remembered. */
  function forgetSeen(): void {
    for (const [node, revision] of knownUpTo) {
      if (revision > view.revision) continue
      knownUpTo.delete(node)
      own.delete(node)
    }
  }

  async function settleBatch(holder: Holder, groups: readonly Group[], signal: AbortSignal): Promise<Settled> {
    let open = groups.flat().map((wish) => ({ wish, known: knowledgeOf(wish.node, holder) }))
    const foreign: string[] = []
    const tries = groups.length === 1 ? MAX_TRIES : TRIES_TOGETHER
    for (let tried = 0; tried < tries; tried++) {
      const moves = open.map(({ wish, known }) => moveOf(keys, holder, wish, known))
      foreign.push(...moves.filter(({ isForeign }) => isForeign).map(({ wish }) => wish.node))
      const ours = moves.filter(({ isForeign }) => !isForeign)
      if (ours.length === 0) return { written: 0, foreign }
      const answer = await client.txn(transactionOf(keys, ours), signal)
      if (answer.succeeded) {
        remember(holder, ours, BigInt(answer.header.revision))
        return { written: ours.reduce((count, { changes }) => count + changes.length, 0), foreign }
      }
      open = learn(holder, ours, answer)
    }
    if (groups.length > 1)
      return settleEach(
        holder,
        groups.map((group) => [group]),
        signal,
      )
    throw new HostlerError('ETCD', `others kept changing ${groups[0]?.[0]?.node} in etcd; it is tried again`)
  }

  /** No two batches have a node in common: they need not wait for each other. */
  async function settleEach(
    holder: Holder,
    batches: Iterable<readonly Group[]>,
    signal: AbortSignal,
  ): Promise<Settled> {
    const limited = createLimit(AT_ONCE)
    const each = [...batches].map((batch) => limited(() => settleBatch(holder, batch, signal)))
    const settled = await Promise.allSettled(each)
    const failed = settled.find((one) => one.status === 'rejected')
    if (failed) throw failed.reason
    const done = settled.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
    return {
      written: done.reduce((sum, { written }) => sum + written, 0),
      foreign: done.flatMap(({ foreign }) => foreign),
    }
  }

  function remember({ process }: Holder, moves: readonly Move[], revision: bigint): void {
    for (const { wish, known, changes } of moves) {
      if (changes.length === 0) continue
      const { node, value } = wish
      knownUpTo.set(node, revision)
      const isSame = value !== undefined && known.own?.value === value
      own.set(node, isSame ? known.own : value === undefined ? undefined : { process, value, modRevision: revision })
    }
  }

  return (holder, groups, signal) => {
    forgetSeen()
    return settleEach(holder, batchesOf(groups), signal)
  }
}

/** What is known of a node as of a revision. */
interface Knowledge {
  readonly others: readonly Claim[]
  readonly own: Claim | undefined
  readonly revision: bigint
  /** The node itself, once it was looked at; null when there is none. */
  readonly node?: EtcdEntry | null
}

interface Move {
  readonly wish: Wish
  readonly known: Knowledge
  readonly guards: readonly ICompare[]
  readonly changes: readonly IRequestOp[]
  readonly isForeign: boolean
}

function moveOf(keys: Keys, holder: Holder, wish: Wish, known: Knowledge): Move {
  const { node, value } = wish
  const { others, own } = known
  const mine = value === undefined ? [] : [{ process: holder.process, value, modRevision: 0n }]
  const claims = [...others, ...mine]
  const next = prevailing(claims)
  const before = known.node === undefined ? prevailing(own ? [...others, own] : others)?.value : known.node?.value
  const claimChange = own?.value === value ? [] : [claimTo(keys.claim(node, holder.process), value, holder.lease)]
  // With a claim that has no lease the node must not have one either.
  const lease = claims.some(({ process }) => isLasting(process)) ? NO_LEASE : keys.sharedLease
  const isMoved = claimChange.length > 0 && isLasting(holder.process)
  const changes = [...claimChange]
  if (next && (next.value !== before || isMoved || isAdrift(lease, known))) changes.push(put(node, next.value, lease))
  if (!next && before !== undefined) changes.push(remove(node))
  const isForeign = !!known.node && !own && others.length === 0 && known.node.lease !== keys.sharedLease
  const guards = [
    noNewClaims(keys, node, known.revision),
    stillAs(node, known.node === undefined ? before : known.node),
    ...(next && next.process !== holder.process ? [isThere(keys.claim(node, next.process), next.modRevision)] : []),
  ]
  return { wish, known, guards, changes, isForeign }
}

const claimTo = (key: string, value: string | undefined, lease: string): IRequestOp =>
  value === undefined ? remove(key) : put(key, value, lease)

/** Somebody has put it there by hand, or who claimed it without a lease claims it no more: it would outlive us all. */
const isAdrift = (lease: string, { node }: Knowledge): boolean => !!node && node.lease !== lease

function transactionOf(keys: Keys, moves: readonly Move[]): ITxnRequest {
  return {
    compare: moves.flatMap(({ guards }) => guards),
    success: moves.flatMap(({ changes }) => changes),
    failure: moves.flatMap(({ wish }) => looks(keys, wish.node)),
  }
}

const put = (key: string, value: string, lease: string): IRequestOp => ({
  request_put: { key: Buffer.from(key), value: Buffer.from(value), lease },
})

const remove = (key: string): IRequestOp => ({ request_delete_range: { key: Buffer.from(key) } })

/** A comparison of a range holds for each of its keys, and for none at all. */
function noNewClaims(keys: Keys, node: string, revision: bigint): ICompare {
  const { key, end } = keys.claims(node)
  return { result: 'Less', target: 'Mod', key, range_end: end, mod_revision: String(revision + 1n) }
}

const isThere = (key: string, modRevision: bigint): ICompare => ({
  ...{ result: 'Equal', target: 'Mod', key: Buffer.from(key), mod_revision: String(modRevision) },
})

/** The node is as it was seen, or has the value that it should have; of a key that is not there every revision is 0. */
function stillAs(node: string, seen: EtcdEntry | null | string | undefined): ICompare {
  const key = Buffer.from(node)
  if (typeof seen === 'string') return { result: 'Equal', target: 'Value', key, value: Buffer.from(seen) }
  return isThere(node, seen ? seen.modRevision : 0n)
}

const looks = (keys: Keys, node: string): IRequestOp[] => {
  const { key, end } = keys.claims(node)
  return [{ request_range: { key: Buffer.from(node) } }, { request_range: { key, range_end: end } }]
}

/** What the transaction that did not go through has read instead. */
function learn(holder: Holder, moves: readonly Move[], { responses, header }: ITxnResponse) {
  return moves.map(({ wish }, index) => {
    const [entry] = entriesOf(responses[2 * index])
    const claims = entriesOf(responses[2 * index + 1]).map(({ key, value, modRevision }) => ({
      ...{ process: key.slice(key.lastIndexOf('/') + 1), value, modRevision },
    }))
    const own = claims.find(({ process }) => process === holder.process)
    const others = claims.filter(({ process }) => process !== holder.process)
    return { wish, known: { others, own, revision: BigInt(header.revision), node: entry ?? null } }
  })
}

const entriesOf = (response: IResponseOp | undefined): EtcdEntry[] => (response?.response_range?.kvs ?? []).map(entryOf)

function* batchesOf(groups: Iterable<Group>): Generator<Group[]> {
  let batch: Group[] = []
  let [count, bytes] = [0, 0]
  for (const group of [...groups].flatMap(fitting)) {
    const size = group.reduce((sum, { node, value = '' }) => sum + 2 * (node.length + value.length), 0)
    if (batch.length > 0 && (count + group.length > BATCH || bytes + size > BATCH_BYTES)) {
      yield batch
      batch = []
      count = 0
      bytes = 0
    }
    batch.push(group)
    count += group.length
    bytes += size
  }
  if (batch.length > 0) yield batch
}

/** More than a transaction takes are several groups. */
function fitting(group: Group): Group[] {
  const parts: Group[] = []
  for (let from = 0; from < group.length; from += BATCH) parts.push(group.slice(from, from + BATCH))
  return parts
}
