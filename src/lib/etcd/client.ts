import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Etcd3, ITxnRequest, ITxnResponse } from 'etcd3'
import { HostlerError, messageOf } from '../errors.js'
import { maskCredentials } from '../mask.js'
import { printable } from '../printable.js'
import { orAborted } from '../signals.js'
import { explain } from './errors.js'
import { keepAliveOnce } from './keep-alive.js'
import { entryOf, type KeyRange, type Listing } from './keys.js'

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
  grant(
    ttlSeconds: number,
    signal: AbortSignal,
    id?: string,
  ): Promise<{ readonly id: string; readonly ttlSeconds: number }>
  /** Seconds that the lease lasts from now; 0 when there is no such lease. */
  keepAlive(id: string, signal: AbortSignal): Promise<number>
  revoke(id: string, signal: AbortSignal): Promise<void>
  /** The keys that hang on a lease. */
  keysOf(id: string, signal: AbortSignal): Promise<readonly string[]>
  /** For watches; `reported` makes an error of it one of ours. */
  readonly raw: () => Etcd3
  reported(error: unknown): HostlerError
  close(): void
}

/** One answer; a server without quorum lets callers wait for ever. */
const CALL_MS = 5000
const PAGE = 2000

/** @throws HostlerError `CONFIG` for endpoints or files that cannot be used */
export function createEtcdClient(address: EtcdAddress): EtcdClient {
  let etcd: Etcd3 | undefined
  let closed = false
  const raw = (): Etcd3 => {
    if (closed) throw new HostlerError('ETCD', 'the connection to etcd is closed')
    etcd ??= connect(address)
    return etcd
  }
  // Certificates may have been renewed since: what fails begins anew, with the files as they are then.
  const dropped = () => {
    etcd?.close()
    etcd = undefined
  }
  const call = async <T>(what: string, signal: AbortSignal, work: (client: Etcd3) => Promise<T>): Promise<T> => {
    signal.throwIfAborted()
    try {
      return await orAborted(work(raw()), signal)
    } catch (cause) {
      signal.throwIfAborted()
      const error = explain(address, what, cause)
      if (error.code === 'ETCD_TLS') dropped()
      throw error
    }
  }
  const options = () => ({ deadline: Date.now() + CALL_MS })
  // Told at once what is wrong with them.
  raw()

  async function list({ key, end }: KeyRange, signal: AbortSignal): Promise<Listing> {
    const entries: Listing['entries'][number][] = []
    let from = key
    let pinned: { revision: string; cluster: string } | undefined
    for (;;) {
      const page = { key: from, range_end: end, limit: PAGE, ...(pinned && { revision: pinned.revision }) }
      const { kvs, more, header } = await call('reading', signal, ({ kv }) => kv.range(page, options()))
      pinned ??= { revision: header.revision, cluster: header.cluster_id }
      entries.push(...kvs.map(entryOf))
      const last = kvs.at(-1)
      if (!more || !last) return { entries, ...pinned }
      from = Buffer.concat([last.key, Buffer.from([0])])
    }
  }

  return {
    ...{ raw, list },
    txn: (request, signal) => call('writing', signal, ({ kv }) => kv.txn(request, options())),
    async grant(ttlSeconds, signal, id) {
      const request = { TTL: ttlSeconds, ...(id !== undefined && { ID: id }) }
      try {
        const granted = await call('asking for a lease', signal, ({ leaseClient }) =>
          leaseClient.leaseGrant(request, options()),
        )
        return { id: granted.ID, ttlSeconds: Number(granted.TTL) }
      } catch (error) {
        if (id === undefined || !/lease already exists/.test(messageOf(error))) throw error
        return { id, ttlSeconds }
      }
    },
    keepAlive: (id, signal) =>
      call('keeping a lease alive', signal, ({ leaseClient }) => keepAliveOnce(leaseClient, id, CALL_MS)),
    async revoke(id, signal) {
      await call('ending a lease', signal, ({ leaseClient }) => leaseClient.leaseRevoke({ ID: id }, options()))
    },
    async keysOf(id, signal) {
      const { keys } = await call('reading a lease', signal, ({ leaseClient }) =>
        leaseClient.leaseTimeToLive({ ID: id, keys: true }, options()),
      )
      return keys.map((key) => key.toString())
    },
    reported: (error) => explain(address, 'following', error),
    close() {
      closed = true
      dropped()
    },
  }
}

/** Loaded by those who have an etcd: with gRPC it is a good part of all code that there is. */
const require = createRequire(import.meta.url)
const library = () => ({
  ...(require('etcd3') as typeof import('etcd3')),
  ...(require('cockatiel') as Pick<typeof import('cockatiel'), 'handleWhen' | 'noop' | 'retry'>),
})

function connect(address: EtcdAddress): Etcd3 {
  const { ca, cert, key, username, password } = address
  const { hosts, isSecure } = readEndpoints(address)
  const { Etcd3, handleWhen, isRecoverableError, noop, retry } = library()
  const isRecoverable = (error: unknown) => error instanceof Error && isRecoverableError(error)
  try {
    return new Etcd3({
      hosts,
      ...(isSecure && { credentials: credentialsOf({ ca, cert, key }) }),
      ...(username !== '' && { auth: { username, password, callOptions: () => ({ deadline: Date.now() + CALL_MS }) } }),
      grpcOptions: GRPC_OPTIONS,
      // Calls are repeated and watches begun anew by whoever makes them: a breaker would only keep them waiting.
      faultHandling: {
        host: () => noop,
        global: hosts.length === 1 ? noop : retry(handleWhen(isRecoverable), { maxAttempts: hosts.length - 1 }),
      },
    })
  } catch (cause) {
    throw new HostlerError('CONFIG', 'etcd cannot be used as it is set up', { cause })
  }
}

const GRPC_OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  // Notices a server that went away without a word; a quiet watch is otherwise as good as a dead one.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
  'grpc.max_receive_message_length': 64 << 20,
}

/** Written as people and etcdctl write them: what is missing is etcd's own port, or a scheme. @throws HostlerError `CONFIG` */
function readEndpoints({ endpoints, ca, cert }: Pick<EtcdAddress, 'endpoints' | 'ca' | 'cert'>) {
  const scheme = ca === '' && cert === '' ? 'http' : 'https'
  const hosts = endpoints.map((endpoint) => {
    const match = /^(?:(https?):\/\/)?([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?\/?$/.exec(endpoint)
    if (match) return `${match[1] ?? scheme}://${match[2]}${match[3] ?? ':2379'}`
    const shown = JSON.stringify(printable(maskCredentials(endpoint), 200))
    throw new HostlerError('CONFIG', `${shown} is no etcd endpoint (ETCD_ENDPOINT); write http://HOST:2379`)
  })
  if (hosts.length === 0) throw new HostlerError('CONFIG', 'ETCD_ENDPOINT names no server; write http://HOST:2379')
  const secure = hosts.filter((host) => host.startsWith('https://'))
  if (secure.length > 0 && secure.length < hosts.length)
    throw new HostlerError(
      'CONFIG',
      'ETCD_ENDPOINT mixes http:// and https://; all servers of a cluster speak one of them',
    )
  return { hosts, isSecure: secure.length > 0 }
}

function credentialsOf(files: Pick<EtcdAddress, 'ca' | 'cert' | 'key'>) {
  const read = (path: string) => (path === '' ? undefined : readFileSync(path))
  const [rootCertificate, certChain, privateKey] = [read(files.ca), read(files.cert), read(files.key)]
  // Without a CA those that Node.js knows count; the library's type wants one all the same.
  return { rootCertificate: rootCertificate as Buffer, ...(certChain && privateKey && { certChain, privateKey }) }
}
