import type { IKeyValue } from 'etcd3'

/** Keys from `key` up to, and without, `end`. */
export interface KeyRange {
  readonly key: Buffer
  readonly end: Buffer
}

export interface EtcdEntry {
  readonly key: string
  readonly value: string
  /** Of the key's last change and of its creation: 64-bit numbers, as etcd counts the changes of its whole store. */
  readonly modRevision: bigint
  readonly createRevision: bigint
  /** Decimal; `0`: none. */
  readonly lease: string
}

export interface Listing {
  readonly entries: readonly EtcdEntry[]
  readonly revision: string
  /** Another one means another store, with revisions of its own. */
  readonly cluster: string
}

/** Every key that begins with this. */
export function prefixRange(prefix: string): KeyRange {
  const key = Buffer.from(prefix)
  const end = Buffer.from(prefix)
  const last = end.length - 1
  // A text in UTF-8 never ends in 0xff.
  end.writeUInt8(end.readUInt8(last) + 1, last)
  return { key, end }
}

/** It has forgotten what it had: it was begun anew, or an older copy of it was put in its place. */
export const isOtherStore = (before: Pick<Listing, 'revision' | 'cluster'>, now: Listing): boolean =>
  now.cluster !== before.cluster || BigInt(now.revision) < BigInt(before.revision)

export const entryOf = (kv: IKeyValue): EtcdEntry => ({
  key: kv.key.toString(),
  value: kv.value.toString(),
  modRevision: BigInt(kv.mod_revision),
  createRevision: BigInt(kv.create_revision),
  lease: kv.lease,
})
