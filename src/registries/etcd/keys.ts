import { createHash } from 'node:crypto'
import { type KeyRange, prefixRange } from '../../lib/etcd/keys.js'

/**
 * Where Hostler's own keys are in etcd, below the prefix of the settings:
 * `registrar/claims/NODE/PROCESS` = the value that a process claims for a node, on the lease of that process;
 * `registrar/processes/PROCESS` = who that is. Node paths are percent-encoded, so that the claims of one node lie side by
 * side and one comparison of a transaction holds for them all.
 */
export interface Keys {
  /** Everything that registrars keep. */
  readonly registrar: string
  process(id: string): string
  claim(node: string, process: string): string
  /** Every claim to a node. */
  claims(node: string): KeyRange
  /** What a key below `registrar` is; undefined for any other. */
  read(key: string): ClaimKey | ProcessKey | undefined
  /** The lease that every node hangs on, kept alive by every process: decimal. */
  readonly sharedLease: string
}

/** What the name of a process without a lease begins with: it announces once, and what it announced stays. */
const LASTING = 'lasting-'

export const lastingProcess = (name: string): string =>
  LASTING + createHash('sha256').update(name).digest('hex').slice(0, 16)

export const isLasting = (process: string): boolean => process.startsWith(LASTING)

/** As etcd has it: none. */
export const NO_LEASE = '0'

export interface ClaimKey {
  readonly node: string
  readonly process: string
}

export interface ProcessKey {
  readonly process: string
  readonly node?: never
}

export function createKeys(prefix: string): Keys {
  const registrar = `${prefix}/registrar/`
  const claims = `${registrar}claims/`
  const processes = `${registrar}processes/`
  return {
    registrar,
    process: (id) => processes + id,
    claim: (node, process) => `${claims}${encodeURIComponent(node)}/${process}`,
    claims: (node) => prefixRange(`${claims}${encodeURIComponent(node)}/`),
    read(key) {
      if (key.startsWith(processes)) return { process: key.slice(processes.length) }
      const slash = key.lastIndexOf('/')
      if (!key.startsWith(claims) || slash < claims.length) return undefined
      const node = decoded(key.slice(claims.length, slash))
      return node === undefined ? undefined : { node, process: key.slice(slash + 1) }
    },
    sharedLease: leaseIdOf(prefix),
  }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** The same for all who share the prefix; a lease's id is a positive number of 63 bits. */
function leaseIdOf(prefix: string): string {
  const hash = createHash('sha256').update(`hostler ${prefix}`).digest()
  return String((hash.readBigUInt64BE(0) >> 2n) | 1n)
}
