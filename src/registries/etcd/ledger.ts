import type { Clock } from '../../lib/clock.js'
import { compareText } from '../../lib/compare.js'
import { printable } from '../../lib/printable.js'
import type { Settled } from './settle.js'

/** By node: its value and the group (a container) that it is written with. */
export interface WantedNode {
  readonly value: string
  readonly group: string
}

/** The group of what an earlier run has claimed. */
export const INHERITED = ''

export interface Wanted {
  readonly nodes: ReadonlyMap<string, WantedNode>
  /** Those that may be others than in the call before. */
  readonly touched: ReadonlySet<string>
  /** Whether a claim stays although nothing says any more that it is wanted. */
  readonly kept: (claimed: WantedNode) => boolean
}

/** What is to be written: each node with the group that it is written with; without a value it is to go. */
export interface Difference {
  readonly changed: readonly (WantedNode & { readonly node: string })[]
  readonly gone: readonly { readonly node: string; readonly group: string }[]
  /** Wanted by nobody, and kept: to be looked at again the next time. */
  readonly left: readonly string[]
}

/**
 * What we claim, and what has still to be written.
 *
 * INVARIANTS
 * - `claimed` holds what is known to be claimed. What may be otherwise is unsure until it is written again, wanted or not.
 * - A node that is neither claimed as it is wanted nor unwanted and unclaimed is dirty, refused or foreign.
 */
export interface Ledger {
  readonly claimed: ReadonlyMap<string, WantedNode>
  /** Every node that we may have a claim to. */
  nodes(): Iterable<string>
  /** They may be wanted otherwise: remembered until they have been looked at, whatever comes between. */
  touch(nodes: Iterable<string>): void
  /** What has to be written now. What is wanted as it was claimed is wanted by its group from now on. */
  difference(wanted: Pick<Wanted, 'nodes' | 'kept'>): Difference
  /** @returns how many nodes have been written, and how many taken back */
  settled(difference: Difference, nodes: Wanted['nodes'], settled: Settled): { written: number; removed: number }
  /** It may be claimed otherwise than it is known to be. */
  doubt(nodes: Iterable<string>): void
  /** Whether a node is claimed as it is wanted. */
  isSure(node: string): boolean
  /** These are our claims; whatever is wanted is compared with them. */
  startOver(claims: Iterable<readonly [node: string, claim: { readonly value: string }]>): void
  troubles(): string[]
}

/** @param retryMs after which etcd is asked again for what it has refused */
export function createLedger({ retryMs, clock }: { retryMs: number; clock: Clock }): Ledger {
  const claimed = new Map<string, WantedNode>()
  /** What it was to be, or has been. */
  const unsure = new Map<string, WantedNode>()
  /** Undefined: any. */
  let dirty: Set<string> | undefined
  let foreign = new Set<string>()
  const refused = new Map<string, { readonly reason: string; readonly until: number }>()

  function doubt(nodes: Iterable<string>, wanted?: Wanted['nodes']): void {
    for (const node of nodes) {
      unsure.set(node, wanted?.get(node) ?? claimed.get(node) ?? unsure.get(node) ?? { value: '', group: INHERITED })
      dirty?.add(node)
    }
  }

  /** A node without a reason is not refused any more. */
  function note(node: string, reason: string | undefined): void {
    if (reason === undefined) refused.delete(node)
    else refused.set(node, { reason, until: clock.elapsed() + retryMs })
  }

  return {
    ...{ claimed, doubt },
    nodes: () => new Set([...claimed.keys(), ...unsure.keys()]),
    touch(nodes) {
      for (const node of nodes) dirty?.add(node)
    },
    difference({ nodes, kept }) {
      for (const [node, { until }] of refused) if (until <= clock.elapsed()) dirty?.add(node)
      const changed: (WantedNode & { node: string })[] = []
      const gone: { node: string; group: string }[] = []
      const left: string[] = []
      for (const node of dirty ?? new Set([...nodes.keys(), ...claimed.keys(), ...unsure.keys()])) {
        const [wanted, have] = [storable(nodes.get(node)), claimed.get(node) ?? unsure.get(node)]
        if (wanted) {
          if (unsure.has(node) || have?.value !== wanted.value) changed.push({ node, ...wanted })
          else claimed.set(node, wanted)
        } else if (have && kept(have)) left.push(node)
        else if (have) gone.push({ node, group: have.group })
      }
      return { changed, gone, left }
    },
    settled({ changed, gone, left }, nodes, result) {
      const open = new Set([...result.foreign, ...result.refused.keys(), ...result.unsure])
      const isDone = ({ node }: { readonly node: string }) => !open.has(node)
      const [written, removed] = [changed.filter(isDone), gone.filter(isDone)]
      const done = [...written, ...removed].map(({ node }) => node)
      for (const node of [...done, ...result.foreign]) {
        claimed.delete(node)
        unsure.delete(node)
        foreign.delete(node)
      }
      for (const { node, value, group } of written) claimed.set(node, { value, group })
      for (const { node } of [...changed, ...gone]) note(node, result.refused.get(node))
      for (const node of refused.keys()) if (!nodes.has(node) && !claimed.has(node)) refused.delete(node)
      doubt(result.unsure, nodes)
      foreign = new Set([...foreign, ...result.foreign].filter((node) => nodes.has(node)))
      dirty = new Set([...left, ...foreign, ...unsure.keys()])
      const isNews = ({ node }: { readonly node: string }) => result.altered.has(node)
      return { written: written.filter(isNews).length, removed: removed.filter(isNews).length }
    },
    isSure: (node) => dirty?.has(node) === false && !refused.has(node),
    startOver(claims) {
      const before = new Map(claimed)
      claimed.clear()
      for (const [node, { value }] of claims) {
        const known = before.get(node)
        claimed.set(node, known?.value === value ? known : { value, group: INHERITED })
      }
      for (const all of [unsure, refused, foreign]) all.clear()
      dirty = undefined
    },
    troubles: () => [...[...foreign].map(foreignTrouble), ...refusals(refused)],
  }
}

/** etcd gives back in UTF-8 what it was given; half a character is none there. */
const storable = (wanted: WantedNode | undefined): WantedNode | undefined =>
  wanted && /\p{Cs}/u.test(wanted.value) ? { ...wanted, value: Buffer.from(wanted.value).toString() } : wanted

const foreignTrouble = (node: string): string =>
  `${printable(node, 200)} is in etcd already and is not Hostler's; it stays as it is: remove it, or let the policy write elsewhere`

/** One line for each reason: a user that may not write somewhere may not write any of thousands of nodes. */
function refusals(refused: ReadonlyMap<string, { readonly reason: string }>): string[] {
  const byReason = new Map<string, string[]>()
  for (const [node, { reason }] of refused) {
    const same = byReason.get(reason)
    if (same) same.push(node)
    else byReason.set(reason, [node])
  }
  return [...byReason].map(([reason, nodes]) => {
    const first = printable(nodes.sort(compareText)[0] ?? '', 200)
    return `${first}${nodes.length > 1 ? ' and others' : ''}: ${reason}`
  })
}
