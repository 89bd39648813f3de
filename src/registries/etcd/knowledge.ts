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

/** What the view says, with what we know better: from our own transactions, which it may not have seen yet. */
export interface Knowledge {
  of(node: string, process: string): Known
  /**
   * A transaction that went through. What it was made from was true up to its revision: nobody else had claimed anything anew.
   * The view may not even have come as far as that: what was read instead of a first try is newer.
   */
  learn(node: string, process: string, known: Known): void
  /** What the view has seen too need not be remembered. */
  forgetSeen(): void
  /** Revisions of another store say nothing of this one. */
  forget(): void
}

export function createKnowledge(view: View): Knowledge {
  const learned = new Map<string, { readonly process: string; readonly known: Known }>()
  return {
    of(node, process) {
      const newer = learned.get(node)
      // Whoever has lost his lease is somebody else since, and his claims go with it.
      if (newer?.process === process && newer.known.revision > view.revision) return newer.known
      const claims = view.claims(node)
      const others = [...claims.values()].filter((claim) => claim.process !== process)
      return { others, own: claims.get(process), revision: view.revision }
    },
    learn: (node, process, known) => void learned.set(node, { process, known }),
    forgetSeen() {
      for (const [node, { known }] of learned) if (known.revision <= view.revision) learned.delete(node)
    },
    forget: () => learned.clear(),
  }
}
