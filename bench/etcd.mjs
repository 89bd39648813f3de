// A real etcd on loopback, and what somebody else than Hostler sees there.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Etcd3 } from 'etcd3'
import { findProgram } from '../scripts/servers.mjs'
import { freePort } from './hostler.mjs'
import { startStore } from './store-server.mjs'

export async function startEtcd(cleanup) {
  const folder = cleanup.folder('etcd')
  mkdirSync(join(folder, 'data'))
  const [port, peerPort] = [await freePort(), await freePort()]
  const [endpoint, peer] = [port, peerPort].map((one) => `http://127.0.0.1:${one}`)
  const command = [
    ...[findProgram('etcd'), '--name', 'one', '--data-dir', join(folder, 'data'), '--logger', 'zap'],
    ...['--log-level', 'error', '--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `one=${peer}`],
  ]
  // It is healthy when it can write, that is, when it has its leader.
  const answers = async () => (await (await fetch(`${endpoint}/health`)).json()).health === 'true'
  const store = await startStore(cleanup, { folder, command, answers })
  return { ...store, endpoint, client: () => connect(cleanup, endpoint) }
}

/** A client of its own. One that is made after a restart has no pause to wait for. */
function connect(cleanup, endpoint) {
  const client = new Etcd3({ hosts: endpoint, grpcOptions: { 'grpc.max_receive_message_length': 64 << 20 } })
  return { client, close: cleanup.add(async () => client.close()) }
}

/** Calls `look` with each change below a prefix, as etcd tells it, until stopped. Resolves when nothing is missed any more. */
export async function watchKeys(client, prefix, look) {
  const watcher = await client.watch().prefix(prefix).create()
  watcher.on('data', ({ events }) => {
    for (const { type, kv } of events) {
      look({ type, key: kv.key.toString(), value: kv.value.toString(), revision: Number(kv.mod_revision) })
    }
  })
  return { stop: () => watcher.cancel() }
}

/** Resolves, with when, to the first change below a prefix that is looked for. Of one that does not come the wait is over. */
export function createKeyWaits() {
  const waits = new Set()
  return {
    look(change) {
      for (const wait of waits) wait(change)
    },
    /** @param {() => number} now */
    until(matches, now, timeoutMs = 60_000) {
      return new Promise((resolve, reject) => {
        const finish = (settle, value) => {
          clearTimeout(timer)
          waits.delete(wait)
          settle(value)
        }
        const timer = setTimeout(() => finish(reject, new Error('a change did not come to etcd in time')), timeoutMs)
        const wait = (change) => {
          if (matches(change)) finish(resolve, now())
        }
        waits.add(wait)
      })
    },
  }
}
