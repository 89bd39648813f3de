import type { EtcdEntry } from '../../lib/etcd/keys.js'
import type { Claim, View } from './view.js'

/** What is known of a node as of a revision. */
export interface Known {
  readonly others: readonly Claim[]
  readonly own: Claim | undefined
  readonly revision: bigint
  /** The node itself, once it was looked at; null when there is none. */
  readonly node?: EtcdEntry | null
}

/** What the view says, with what we know better: our own transactions, which it may not have seen yet. */
export interface Knowledge {
  of(node: string, process: string): Known
  /** A transaction that went through: what we claim since (undefined: nothing), and that nobody else had claimed anew. */
  learn(node: string, process: string, own: Claim | undefined, revision: bigint): void
  /** What the view has seen too need not be remembered. */
  forgetSeen(): void
  /** Revisions of another store say nothing of this one. */
  forget(): void
}

export function createKnowledge(view: View): Knowledge {
  const own = new Map<string, { readonly process: string; readonly claim: Claim | undefined; readonly at: bigint }>()
  return {
    of(node, process) {
      const claims = view.claims(node)
      const others = [...claims.values()].filter((claim) => claim.process !== process)
      const known = own.get(node)
      // Whoever has lost his lease is somebody else since, and his claims go with it.
      if (known?.process !== process || known.at <= view.revision)
        return { others, own: claims.get(process), revision: view.revision }
      return { others, own: known.claim, revision: known.at }
    },
    learn: (node, process, claim, at) => void own.set(node, { process, claim, at }),
    forgetSeen() {
      for (const [node, { at }] of own) if (at <= view.revision) own.delete(node)
    },
    forget: () => own.clear(),
  }
}
