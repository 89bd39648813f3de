import type { Etcd3, ITxnRequest, ITxnResponse } from 'etcd3'
import { type HostlerError, messageOf } from '../errors.js'
import { explain } from './errors.js'
import { keepAliveOnce } from './keep-alive.js'
import { entryOf, type KeyRange, type Listing } from './keys.js'
import { createServers, type Server } from './servers.js'

/** Where etcd is and who we are there. */
export interface EtcdAddress {
  /** `http://HOST:PORT` or `https://HOST:PORT`, all of one cluster. */
  readonly endpoints: readonly string[]
  /** Files in PEM; empty: none. */
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly username: string
  readonly password: string
}

/** What is asked of etcd v3 here. Every answer is bounded in time; errors are HostlerErrors that name the endpoints. */
export interface EtcdClient {
  /** Every key of a range as of one revision, however many there are. */
  list(range: KeyRange, signal: AbortSignal): Promise<Listing>
  txn(request: ITxnRequest, signal: AbortSignal): Promise<ITxnResponse>
  /** @param id decimal; a lease that is there already under it is as good */
  grant(ttlSeconds: number, signal: AbortSignal, id?: string): Promise<string>
  /** Seconds that the lease lasts from now; 0 when there is no such lease. */
  keepAlive(id: string, signal: AbortSignal): Promise<number>
  revoke(id: string, signal: AbortSignal): Promise<void>
  /** The keys that hang on a lease. */
  keysOf(id: string, signal: AbortSignal): Promise<readonly string[]>
  /** For watches; `reported` makes an error of it one of ours. */
  readonly server: () => Server
  reported(error: unknown): HostlerError
  close(): void
}

const PAGE = 2000

/** @throws HostlerError `CONFIG` for endpoints or files that cannot be used */
export function createEtcdClient(address: EtcdAddress): EtcdClient {
  const servers = createServers(address)
  type Work<T> = (etcd: Etcd3, options: { readonly deadline: number }, timeoutMs: number) => Promise<T>

  async function call<T>(what: string, signal: AbortSignal, work: Work<T>): Promise<T> {
    signal.throwIfAborted()
    try {
      return await servers.ask((etcd, timeoutMs) => work(etcd, { deadline: Date.now() + timeoutMs }, timeoutMs), signal)
    } catch (cause) {
      signal.throwIfAborted()
      const error = explain(address, what, cause)
      if (error.code === 'ETCD_TLS' || error.code === 'ETCD_AUTH') servers.drop()
      throw error
    }
  }

  async function list({ key, end }: KeyRange, signal: AbortSignal): Promise<Listing> {
    const entries: Listing['entries'][number][] = []
    let from = key
    let pinned: { revision: string; cluster: string } | undefined
    for (;;) {
      const page = { key: from, range_end: end, limit: PAGE, ...(pinned && { revision: pinned.revision }) }
      const { kvs, more, header } = await call('reading', signal, ({ kv }, options) => kv.range(page, options))
      pinned ??= { revision: header.revision, cluster: header.cluster_id }
      entries.push(...kvs.map(entryOf))
      const last = kvs.at(-1)
      if (!more || !last) return { entries, ...pinned }
      from = Buffer.concat([last.key, Buffer.from([0])])
    }
  }

  return {
    ...{ list, server: servers.current },
    txn: (request, signal) => call('writing', signal, ({ kv }, options) => kv.txn(request, options)),
    async grant(ttlSeconds, signal, id) {
      const request = { TTL: ttlSeconds, ...(id !== undefined && { ID: id }) }
      try {
        const granted = await call('asking for a lease', signal, ({ leaseClient }, options) =>
          leaseClient.leaseGrant(request, options),
        )
        return granted.ID
      } catch (error) {
        if (id === undefined || !/lease already exists/.test(messageOf(error))) throw error
        return id
      }
    },
    keepAlive: (id, signal) =>
      call('keeping a lease alive', signal, ({ leaseClient }, _options, timeoutMs) =>
        keepAliveOnce(leaseClient, id, timeoutMs),
      ),
    async revoke(id, signal) {
      await call('ending a lease', signal, ({ leaseClient }, options) => leaseClient.leaseRevoke({ ID: id }, options))
    },
    async keysOf(id, signal) {
      const { keys } = await call('reading a lease', signal, ({ leaseClient }, options) =>
        leaseClient.leaseTimeToLive({ ID: id, keys: true }, options),
      )
      return keys.map((key) => key.toString())
    },
    reported: (error) => explain(address, 'following', error),
    close: servers.close,
  }
}
