import type { Running } from './types.js'

export type Version = Running['version']

/** A word of a `server` line: how many values follow it, and from which version `add server` takes it. */
export interface ServerOption {
  readonly values: number
  /** `never`: only a load of the configuration can give it. */
  readonly from: 'always' | 'never' | readonly [major: number, minor: number]
  /** Its value is a file that the worker must have read when it loaded. */
  readonly file?: true
}

/** What every version from 2.6 takes at run time (`dynamic_ok` in HAProxy's keyword tables), by number of values. */
const FLAGS = `allow-0rtt backup check check-send-proxy check-ssl check-via-socks4 no-backup no-send-proxy no-send-proxy-v2
  no-ssl-reuse no-sslv3 no-tfo no-tls-tickets no-tlsv10 no-tlsv11 no-tlsv12 no-tlsv13 force-sslv3 force-tlsv10
  force-tlsv11 force-tlsv12 force-tlsv13 send-proxy send-proxy-v2 send-proxy-v2-ssl send-proxy-v2-ssl-cn ssl tfo
  tls-tickets`
const WITH_VALUE = `addr alpn check-alpn check-proto check-sni ciphers ciphersuites downinter error-limit fall fastinter
  inter maxconn maxqueue minconn npn observe on-error on-marked-down on-marked-up pool-low-conn pool-max-conn
  pool-purge-delay port proto proxy-v2-options rise slowstart sni socks4 ssl-max-ver ssl-min-ver verify verifyhost weight
  ws`
const WITH_FILE = 'ca-file crl-file crt'

/**
 * What is known but left to a reload: HAProxy does not take it at run time, or takes it with a meaning that is not the
 * file's (a server that starts disabled, one that an agent switches on, one that tracks another).
 */
const NEVER_FLAGS =
  'disabled enabled agent-check no-agent-check no-check no-ssl non-stick ssl-reuse stick no-verifyhost'
const NEVER_WITH_VALUE = `agent-addr agent-inter agent-port agent-send guid id init-addr log-proto max-reuse namespace redir
  resolve-net resolve-opts resolve-prefer resolvers tcp-ut track`

/** Taken at run time by newer versions only. */
const NEWER: readonly (readonly [name: string, values: number, major: number, minor: number])[] = [
  ['cookie', 1, 3, 0],
  ['hash-key', 1, 3, 0],
  ['pool-conn-name', 1, 3, 0],
  ['init-state', 1, 3, 1],
  ['idle-ping', 1, 3, 2],
  ['strict-maxconn', 0, 3, 2],
]

const rows = (names: string, option: ServerOption): [string, ServerOption][] =>
  names.split(/\s+/).map((name) => [name, option])

const OPTIONS: ReadonlyMap<string, ServerOption> = new Map([
  ...rows(FLAGS, { values: 0, from: 'always' }),
  ...rows(WITH_VALUE, { values: 1, from: 'always' }),
  ...rows(WITH_FILE, { values: 1, from: 'always', file: true }),
  ...rows(NEVER_FLAGS, { values: 0, from: 'never' }),
  ...rows(NEVER_WITH_VALUE, { values: 1, from: 'never' }),
  ...NEWER.map(([name, values, major, minor]): [string, ServerOption] => [name, { values, from: [major, minor] }]),
])

/** Undefined for a word that we do not know. */
export const serverOption = (name: string): ServerOption | undefined => OPTIONS.get(name)

export const isAtLeast = (version: Version, major: number, minor: number): boolean =>
  version.major > major || (version.major === major && version.minor >= minor)

export const canBeAdded = ({ from }: ServerOption, version: Version): boolean =>
  from === 'always' || (from !== 'never' && isAtLeast(version, ...from))
