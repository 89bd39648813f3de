import { HostlerError, messageOf } from '../errors.js'
import { maskCredentials } from '../mask.js'
import { printable } from '../printable.js'
import type { EtcdAddress } from './client.js'

/** What etcd or the way there says → what is wrong, and what to do about it. The first that fits counts. */
const REMEDIES: readonly (readonly [words: RegExp, code: string, remedy: string])[] = [
  [/CERT_HAS_EXPIRED|certificate has expired/i, 'ETCD_TLS', 'its certificate has expired: renew it'],
  [
    /ERR_TLS_CERT_ALTNAME_INVALID|altnames|does not match certificate/i,
    'ETCD_TLS',
    'its certificate is for another name: use a name that is in it (ETCD_ENDPOINT)',
  ],
  [
    /self.signed|unable to verify|unable to get (?:local )?issuer|UNABLE_TO_/i,
    'ETCD_TLS',
    'its certificate is signed by nobody known: name its CA (ETCD_CACERT)',
  ],
  [
    /certificate required|bad certificate|alert|ERR_SSL|EPROTO|wrong version number/i,
    'ETCD_TLS',
    'TLS does not come about: see http:// or https:// (ETCD_ENDPOINT) and our certificate (ETCD_CERT, ETCD_KEY)',
  ],
  [/invalid user ID or password|user name is empty/i, 'ETCD_AUTH', 'see ETCD_USERNAME and ETCD_PASSWORD'],
  [/auth.*\bis old/i, 'ETCD_AUTH', 'users or roles have just been changed; it is tried again'],
  [/permission denied/i, 'ETCD_REFUSED', 'that user may not: grant it a role on the keys'],
  [
    /request is too large|message larger than max/i,
    'ETCD_REFUSED',
    'it is more than etcd takes at once (--max-request-bytes)',
  ],
  [/requested lease not found/i, 'ETCD_LEASE', 'the lease has ended'],
  [/revision has been compacted|required revision/i, 'ETCD_COMPACTED', 'everything is read again'],
  [
    /no leader|request timed out|leader changed/i,
    'ETCD',
    'the cluster has no quorum: see that most of its servers run',
  ],
  [/database space exceeded/i, 'ETCD', 'its disk quota is used up: compact, defragment and disarm the alarm'],
  [/INVALID_ARGUMENT|InvalidArgument/, 'ETCD_REFUSED', 'etcd takes no such request'],
  [/Deadline exceeded/i, 'ETCD', 'it does not answer in time: it is overloaded, or has no quorum'],
]

/**
 * `ETCD_REFUSED` is about this one request; others may well go through.
 * @param what was tried: `reading`, `writing`
 */
export function explain({ endpoints }: Pick<EtcdAddress, 'endpoints'>, what: string, cause: unknown): HostlerError {
  if (cause instanceof HostlerError) return cause
  const said = messageOf(cause)
  const [, code, remedy] = REMEDIES.find(([words]) => words.test(said)) ?? [undefined, 'ETCD', 'see that it runs there']
  const where = maskCredentials(endpoints.join(', '))
  // gRPC's own words hold its options and stack; the first line is enough, and the cause would repeat it.
  const first = printable(said.split('\n')[0] ?? '', 200)
  return new HostlerError(code, `${what} etcd at ${where} failed; ${remedy} (${first})`)
}
