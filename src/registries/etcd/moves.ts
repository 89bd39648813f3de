import type { ICompare, IRequestOp, IResponseOp, ITxnRequest, ITxnResponse } from 'etcd3'
import { type EtcdEntry, entryOf } from '../../lib/etcd/keys.js'
import { isLasting, type Keys, NO_LEASE } from './keys.js'
import type { Known } from './knowledge.js'
import type { Holder, Wish } from './settle.js'
import { type Claim, prevailing } from './view.js'

/** What it takes to bring one node to what is wished: a part of a transaction. */
export interface Move {
  readonly wish: Wish
  readonly known: Known
  readonly guards: readonly ICompare[]
  readonly changes: readonly IRequestOp[]
  readonly isForeign: boolean
  /** What we claim when it has gone through. */
  readonly own: (revision: bigint) => Claim | undefined
}

export function moveOf(keys: Keys, holder: Holder, wish: Wish, known: Known): Move {
  const { node, value } = wish
  const { others, own } = known
  const { process } = holder
  const mine = value === undefined ? [] : [{ process, value, modRevision: 0n }]
  const claims = [...others, ...mine]
  const next = prevailing(claims)
  const before = known.node === undefined ? prevailing(own ? [...others, own] : others)?.value : known.node?.value
  const claimKey = keys.claim(node, process)
  const isClaimed = own?.value === value
  const claimChange = isClaimed ? [] : [claimTo(claimKey, value, holder.lease)]
  // With a claim that has no lease the node must not have one either.
  const lease = claims.some((claim) => isLasting(claim.process)) ? NO_LEASE : keys.sharedLease
  const isMoved = claimChange.length > 0 && isLasting(process)
  const changes = [...claimChange]
  if (next && (next.value !== before || isMoved || isAdrift(lease, known))) changes.push(put(node, next.value, lease))
  if (!next && before !== undefined) changes.push(remove(node))
  const guards = [
    noNewClaims(keys, node, known.revision),
    stillAs(node, known.node === undefined ? before : known.node),
    ...(next && next.process !== process ? [isThere(keys.claim(node, next.process), next.modRevision)] : []),
    // A transaction of ours whose answer was lost may have taken it away.
    ...(own && isClaimed ? [isThere(claimKey, own.modRevision)] : []),
  ]
  const isForeign = !!known.node && !own && others.length === 0 && known.node.lease !== keys.sharedLease
  const ownThen = (modRevision: bigint) =>
    isClaimed ? own : value === undefined ? undefined : { process, value, modRevision }
  return { wish, known, guards, changes, isForeign, own: ownThen }
}

const claimTo = (key: string, value: string | undefined, lease: string): IRequestOp =>
  value === undefined ? remove(key) : put(key, value, lease)

/** Somebody has put it there by hand, or who claimed it without a lease claims it no more: it would outlive us all. */
const isAdrift = (lease: string, { node }: Known): boolean => !!node && node.lease !== lease

export function transactionOf(keys: Keys, moves: readonly Move[]): ITxnRequest {
  return {
    compare: moves.flatMap(({ guards }) => guards),
    success: moves.flatMap(({ changes }) => changes),
    failure: moves.flatMap(({ wish }) => looks(keys, wish.node)),
  }
}

/** etcd's default of `--max-txn-ops`, for comparisons and for operations each. */
const MAX_OPS = 128

export const isTooMuch = ({ compare, success, failure }: ITxnRequest): boolean =>
  [compare, success, failure].some((part) => (part?.length ?? 0) > MAX_OPS)

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
export function readLooks(holder: Holder, { responses, header }: ITxnResponse, index: number): Known {
  const [entry] = entriesOf(responses[2 * index])
  const claims = entriesOf(responses[2 * index + 1]).map(({ key, value, modRevision }) => ({
    ...{ process: key.slice(key.lastIndexOf('/') + 1), value, modRevision },
  }))
  const own = claims.find(({ process }) => process === holder.process)
  const others = claims.filter(({ process }) => process !== holder.process)
  return { others, own, revision: BigInt(header.revision), node: entry ?? null }
}

const entriesOf = (response: IResponseOp | undefined): EtcdEntry[] => (response?.response_range?.kvs ?? []).map(entryOf)
