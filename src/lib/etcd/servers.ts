import type { Etcd3 } from 'etcd3'
import { HostlerError } from '../errors.js'
import { orAborted } from '../signals.js'
import type { EtcdAddress } from './client.js'
import { connect, isServerFault } from './connect.js'
import { readEndpoints } from './endpoints.js'

/** The servers of a cluster: everything is asked of one of them, for as long as it answers. */
export interface Servers {
  current(): Server
  /**
   * Asks the current server, and the others in turn where one of them does not do.
   * @throws what the last one that was asked has thrown
   */
  ask<T>(work: (etcd: Etcd3, timeoutMs: number) => Promise<T>, signal: AbortSignal): Promise<T>
  /** Begins anew with all of them: certificates may have been renewed, and users changed. */
  drop(): void
  close(): void
}

export interface Server {
  readonly etcd: Etcd3
  /** Fires when another one is asked from now on; what follows this one may wait for ever. */
  readonly left: AbortSignal
}

/** One answer; a server without quorum lets callers wait for ever. */
const CALL_MS = 5000
/** Where there is another one to ask: well below half of a lease, and more than a healthy cluster takes. */
const TRY_MS = 1500

/** @throws HostlerError `CONFIG` for endpoints or files that cannot be used */
export function createServers(address: EtcdAddress): Servers {
  /** The first one is the one in use. */
  let hosts = readEndpoints(address)
  const open = new Map<string, Server & { readonly leave: AbortController }>()
  let closed = false

  function serverAt(host: string) {
    if (closed) throw new HostlerError('ETCD', 'the connection to etcd is closed')
    const known = open.get(host)
    if (known) return known
    const leave = new AbortController()
    const server = {
      etcd: connect(host, address, hosts.length > 1 ? TRY_MS : CALL_MS),
      ...{ leave, left: leave.signal },
    }
    open.set(host, server)
    return server
  }

  const current = () => serverAt(hosts[0] as string)

  /** Those before it have failed where it answered: they come last from now on. */
  function prefer(host: string): void {
    const at = hosts.indexOf(host)
    const worse = hosts.slice(0, at)
    hosts = [...hosts.slice(at), ...worse]
    for (const left of worse) {
      const server = open.get(left)
      open.delete(left)
      server?.etcd.close()
      server?.leave.abort()
    }
  }

  function drop(): void {
    for (const { etcd } of open.values()) etcd.close()
    open.clear()
  }

  // Told at once what is wrong with them.
  current()

  return {
    ...{ current, drop },
    async ask(work, signal) {
      const order = hosts
      let failure: unknown
      for (const [index, host] of order.entries()) {
        const began = performance.now()
        try {
          const answer = await orAborted(work(serverAt(host).etcd, index < order.length - 1 ? TRY_MS : CALL_MS), signal)
          // Where the whole cluster is slow, none is better than the others.
          if (index > 0 && hosts === order && performance.now() - began < TRY_MS) prefer(host)
          return answer
        } catch (error) {
          signal.throwIfAborted()
          if (closed || !isServerFault(error)) throw error
          failure = error
        }
      }
      throw failure
    },
    close() {
      closed = true
      drop()
    },
  }
}
