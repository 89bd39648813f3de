import type { IWatchResponse } from 'etcd3'
import { createBackoff } from '../backoff.js'
import type { Clock } from '../clock.js'
import { createDeferred } from '../deferred.js'
import { orAborted } from '../signals.js'
import type { EtcdClient } from './client.js'
import { type EtcdEntry, entryOf, type KeyRange, type Listing } from './keys.js'

export interface MirrorEvents {
  /** Everything that is there now: at first, and after every gap. */
  all(listing: Listing): void
  /** What has changed since, in order; without an entry the key is gone. One call per revision or more. */
  changed(changes: readonly Change[], revision: bigint): void
  /** Once per outage; `all` ends it. */
  failed(error: unknown): void
}

export interface Change {
  readonly key: string
  readonly entry?: EtcdEntry
}

/**
 * Follows a range of keys: lists, watches from there, and lists again after every gap, so that nothing is missed. Resolves
 * only when aborted.
 */
export async function mirror(
  { client, range, clock }: { client: EtcdClient; range: KeyRange; clock: Clock },
  events: MirrorEvents,
  signal: AbortSignal,
): Promise<void> {
  const backoff = createBackoff({ firstMs: 50, maxMs: 1000 })
  let isBroken = false

  async function session(): Promise<void> {
    const listing = await client.list(range, signal)
    events.all(listing)
    isBroken = false
    backoff.reset()
    return watch(client, range, listing, signal, events.changed)
  }

  while (!signal.aborted) {
    try {
      await session()
    } catch (error) {
      if (signal.aborted) return
      if (!isBroken) events.failed(client.reported(error))
      isBroken = true
      await clock.sleep(backoff.next(), signal).catch(() => undefined)
    }
  }
}

/** Rejects when the watch breaks off; resolves when another server is asked from now on. */
async function watch(
  client: EtcdClient,
  { key, end }: KeyRange,
  { revision }: Listing,
  signal: AbortSignal,
  changed: (changes: readonly Change[], revision: bigint) => void,
): Promise<void> {
  const { etcd, left } = client.server()
  const builder = etcd.watch().inRange({ start: key, end })
  const watcher = builder.startRevision(String(BigInt(revision) + 1n)).watcher()
  const broken = createDeferred<void>()
  broken.promise.catch(() => undefined)
  let isOver = false
  const leave = () => broken.resolve()
  left.addEventListener('abort', leave)
  watcher.on('data', (answer: IWatchResponse) => {
    if (isOver) return
    const changes = answer.events.map(({ type, kv }) =>
      type === 'Put' ? { key: kv.key.toString(), entry: entryOf(kv) } : { key: kv.key.toString() },
    )
    // The header's revision may be ahead of what has been sent so far; without events it says that nothing is missing.
    const last = answer.events.at(-1)?.kv.mod_revision ?? answer.header.revision
    changed(changes, BigInt(last))
  })
  watcher.on('disconnected', (error) => broken.reject(error))
  watcher.on('error', (error) => broken.reject(error))
  try {
    if (!left.aborted) await orAborted(broken.promise, signal)
  } finally {
    isOver = true
    left.removeEventListener('abort', leave)
    // A server that hangs would let whoever stops wait for its answer.
    void watcher.cancel().catch(() => undefined)
  }
}
