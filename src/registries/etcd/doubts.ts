import { NO_LEASE } from './keys.js'
import type { Ledger } from './ledger.js'
import type { Holder, Settler } from './settle.js'
import type { Tenure } from './tenure.js'
import type { View } from './view.js'

/**
 * Finds claims of ours that are not as we believe them to be: somebody has taken one away, or etcd has done late what it was
 * not known to have done at all.
 */
export interface Doubts {
  /** The claims to these nodes have changed, by whomever. */
  look(nodes: Iterable<string>, holder: Holder): void
  /** Nothing that was known counts any more. */
  all(): void
}

export interface DoubtsInputs {
  readonly view: View
  readonly ledger: Ledger
  readonly settler: Pick<Settler, 'claimOf'>
  readonly tenure: Pick<Tenure, 'current'>
  /** What we are just writing becomes known before we come to doubt it. */
  readonly inTurn: <T>(job: () => Promise<T>) => Promise<T>
  /** Somebody should write what is unsure now. */
  readonly disturb: () => void
}

export function createDoubts({ view, ledger, settler, tenure, inTurn, disturb }: DoubtsInputs): Doubts {
  let suspects = new Set<string>()

  async function judge(): Promise<void> {
    const [nodes, holder] = [suspects, tenure.current()]
    suspects = new Set()
    if (!holder) return
    const wrong = [...nodes].filter(
      (node) => ledger.isSure(node) && settler.claimOf(node, holder) !== ledger.claimed.get(node)?.value,
    )
    if (wrong.length === 0) return
    ledger.doubt(wrong)
    disturb()
  }

  return {
    look(nodes, { process, lease }) {
      // Two that announce under one name without a lease would never come to an end with each other.
      if (lease === NO_LEASE) return
      const isFirst = suspects.size === 0
      for (const node of nodes)
        if (view.claims(node).get(process)?.value !== ledger.claimed.get(node)?.value) suspects.add(node)
      if (isFirst && suspects.size > 0) void inTurn(judge)
    },
    all() {
      void inTurn(async () => {
        const holder = tenure.current()
        if (holder) ledger.startOver(view.claimsBy(holder.process))
        disturb()
      })
    },
  }
}
