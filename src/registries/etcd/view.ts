import { compareText } from '../../lib/compare.js'
import { type EtcdEntry, isOtherStore, type Listing } from '../../lib/etcd/keys.js'
import type { Change } from '../../lib/etcd/mirror.js'
import type { Keys } from './keys.js'

export interface Claim {
  readonly process: string
  readonly value: string
  readonly modRevision: bigint
}

/** What a process says of itself. */
export interface ProcessEntry {
  readonly said: string
  readonly modRevision: bigint
}

/** What is known of everybody's claims, as of `revision`. */
export interface View {
  readonly revision: bigint
  /** By process. */
  claims(node: string): ReadonlyMap<string, Claim>
  /** Nodes that a process claims, with its values. */
  claimsBy(process: string): IterableIterator<readonly [node: string, claim: Claim]>
  /** Live processes, by id. */
  processes(): ReadonlyMap<string, ProcessEntry>
  replace(listing: Listing): Stir
  apply(changes: readonly Change[], revision: bigint): Stir
}

/** What a change of the view means for others. */
export interface Stir {
  /** Nodes whose claims have changed. */
  readonly nodes: ReadonlySet<string>
  /** Those of them that lost claims because their process ended; nobody has looked after them yet. */
  readonly orphans: ReadonlySet<string>
  /** Processes that have ended. */
  readonly ended: ReadonlySet<string>
  /** The store is not the one that was seen before, or an older state of it: no revision from before says anything now. */
  readonly isOtherStore: boolean
}

const NONE: ReadonlyMap<string, Claim> = new Map()

export function createView(keys: Keys): View {
  let revision = 0n
  let cluster: string | undefined
  let byNode = new Map<string, Map<string, Claim>>()
  let processes = new Map<string, ProcessEntry>()

  function put({ key, value, modRevision }: EtcdEntry): string | undefined {
    const read = keys.read(key)
    if (!read) return undefined
    const { node, process } = read
    if (node === undefined) {
      processes.set(process, { said: value, modRevision })
      return undefined
    }
    const claims = byNode.get(node)
    const claim = { process, value, modRevision }
    if (claims) claims.set(process, claim)
    else byNode.set(node, new Map([[process, claim]]))
    return node
  }

  function remove(node: string, process: string): void {
    const claims = byNode.get(node)
    claims?.delete(process)
    if (claims?.size === 0) byNode.delete(node)
  }

  return {
    get revision() {
      return revision
    },
    claims: (node) => byNode.get(node) ?? NONE,
    *claimsBy(process) {
      for (const [node, claims] of byNode) {
        const claim = claims.get(process)
        if (claim) yield [node, claim]
      }
    },
    processes: () => processes,
    replace(listing) {
      const before = { byNode, processes }
      const isOther = cluster !== undefined && isOtherStore({ revision: String(revision), cluster }, listing)
      byNode = new Map()
      processes = new Map()
      for (const entry of listing.entries) put(entry)
      revision = BigInt(listing.revision)
      cluster = listing.cluster
      const orphans = new Set([...before.byNode].flatMap(([node, claims]) => lost(node, claims, byNode)))
      const ended = new Set([...before.processes.keys()].filter((id) => !processes.has(id)))
      return { nodes: new Set([...before.byNode.keys(), ...byNode.keys()]), orphans, ended, isOtherStore: isOther }
    },
    apply(changes, now) {
      const nodes = new Set<string>()
      const ended = new Set<string>()
      const gone: { node: string; process: string }[] = []
      for (const { key, entry } of changes) {
        const read = keys.read(key)
        if (entry) {
          const node = put(entry)
          if (node !== undefined) nodes.add(node)
        } else if (read?.node !== undefined) {
          remove(read.node, read.process)
          nodes.add(read.node)
          gone.push(read)
        } else if (read) {
          processes.delete(read.process)
          ended.add(read.process)
        }
      }
      revision = now
      const orphans = new Set(gone.filter(({ process }) => !processes.has(process)).map(({ node }) => node))
      return { nodes, orphans, ended, isOtherStore: false }
    },
  }
}

function lost(node: string, before: ReadonlyMap<string, Claim>, now: ReadonlyMap<string, ReadonlyMap<string, Claim>>) {
  const left = now.get(node)
  return [...before.keys()].some((process) => !left?.has(process)) ? [node] : []
}

/** The claim whose value the node has: the smallest value; of several that agree, the same one for everybody. */
export function prevailing(claims: Iterable<Claim>): Claim | undefined {
  let best: Claim | undefined
  for (const claim of claims) {
    const order = best ? compareText(claim.value, best.value) || compareText(claim.process, best.process) : -1
    if (order < 0) best = claim
  }
  return best
}
