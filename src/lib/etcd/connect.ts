import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Etcd3 } from 'etcd3'
import { HostlerError } from '../errors.js'
import type { EtcdAddress } from './client.js'

/** Loaded by those who have an etcd: with gRPC it is a good part of all code that there is. */
const require = createRequire(import.meta.url)
const library = () => require('etcd3') as typeof import('etcd3')

/**
 * A connection to one server, with the certificates as they are in their files now.
 * @param timeoutMs for signing in
 * @throws HostlerError `CONFIG` for files that cannot be used
 */
export function connect(host: string, address: EtcdAddress, timeoutMs: number): Etcd3 {
  const { ca, cert, key, username, password } = address
  const { Etcd3 } = library()
  const { noop } = require('cockatiel') as Pick<typeof import('cockatiel'), 'noop'>
  try {
    return new Etcd3({
      hosts: host,
      ...(host.startsWith('https://') && { credentials: credentialsOf({ ca, cert, key }) }),
      ...(username !== '' && {
        auth: { username, password, callOptions: () => ({ deadline: Date.now() + timeoutMs }) },
      }),
      grpcOptions: GRPC_OPTIONS,
      // Calls are repeated and watches begun anew by whoever makes them: a breaker would only keep them waiting.
      faultHandling: { host: () => noop, global: noop },
    })
  } catch (cause) {
    throw new HostlerError('CONFIG', 'etcd cannot be used as it is set up', { cause })
  }
}

/** Whether another server may do better: this one is not there, does not answer, or cannot be spoken with. */
export function isServerFault(error: unknown): boolean {
  const { castGrpcError, isRecoverableError, ClientClosedError } = library()
  if (!(error instanceof Error)) return false
  return error instanceof ClientClosedError || isRecoverableError(castGrpcError(error))
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

function credentialsOf(files: Pick<EtcdAddress, 'ca' | 'cert' | 'key'>) {
  const read = (path: string) => (path === '' ? undefined : readFileSync(path))
  const [rootCertificate, certChain, privateKey] = [read(files.ca), read(files.cert), read(files.key)]
  // Without a CA those that Node.js knows count; the library's type wants one all the same.
  return { rootCertificate: rootCertificate as Buffer, ...(certChain && privateKey && { certChain, privateKey }) }
}
