import { HostlerError } from '../lib/errors.js'

/** Exit codes: 0 done, 1 a problem was found, 2 wrong usage or settings, 3 a dependency could not be reached, or not be used. */
export const exitCodeOf = (error: unknown): number =>
  error instanceof HostlerError ? (EXIT_CODES.get(error.code) ?? 1) : 1

const WRONG_USAGE = [
  ...['CONFIG', 'LISTEN', 'USAGE', 'HAPROXY_PORT_TAKEN', 'file-missing'],
  ...['metadata-host', 'metadata-version', 'rancher-project', 'CONSUL_SHARED'],
]

const OUT_OF_REACH = [
  ...['UNREACHABLE', 'DOCKER', 'HAPROXY_MISSING', 'HAPROXY_TOO_OLD'],
  ...['CONSUL', 'CONSUL_ANSWER', 'CONSUL_DENIED', 'CONSUL_EARLY'],
  ...['ETCD', 'ETCD_AUTH', 'ETCD_COMPACTED', 'ETCD_LEASE', 'ETCD_TLS'],
  ...['metadata-unreachable', 'metadata-status', 'metadata-missing', 'metadata-syntax', 'metadata-shape'],
  ...['rancher-unreachable', 'rancher-status', 'rancher-key', 'rancher-missing'],
  ...['rancher-syntax', 'rancher-shape', 'rancher-paging'],
]

const EXIT_CODES: ReadonlyMap<string, number> = new Map([
  ...WRONG_USAGE.map((code) => [code, 2] as const),
  ...OUT_OF_REACH.map((code) => [code, 3] as const),
])
