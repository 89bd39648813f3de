import { codeOf, HostlerError, messageOf } from '../../lib/errors.js'
import type { EtcdClient } from '../../lib/etcd/client.js'
import { createLimit } from '../../lib/limit.js'
import { type Batch, type Chain, chainsOf, halvesOf } from './batches.js'
import type { Keys } from './keys.js'
import { createKnowledge } from './knowledge.js'
import { isTooMuch, type Move, moveOf, readLooks, transactionOf } from './moves.js'
import { prevailing, type View } from './view.js'

/** A node, and what we claim for it; without a value we claim nothing, or no longer. */
export interface Wish {
  readonly node: string
  readonly value?: string
}

/** Who we are, and the lease that our claims hang on. */
export interface Holder {
  readonly process: string
  readonly lease: string
}

export interface Settled {
  /** Changes of nodes and of our claims. */
  readonly written: number
  /** Nodes of which something was written. */
  readonly altered: ReadonlySet<string>
  /** Nodes that are there, and are not Hostler's: they were left alone, and so was our claim. */
  readonly foreign: readonly string[]
  /** Nodes that etcd does not take, or does not let us write, and why: they are as they were, and so is our claim. */
  readonly refused: ReadonlyMap<string, string>
  /** Nodes of which it is not known whether they were written: what has failed first, and everything that failed with it. */
  readonly unsure: readonly string[]
  readonly error?: unknown
}

/**
 * Brings our claims to these nodes to what is wished, and the nodes themselves to the smallest value that is claimed by
 * anybody, each claim together with its node in one transaction.
 *
 * INVARIANTS
 * - A transaction goes through only if no claim was made to its nodes since those that it was made from, and if the claim
 *   whose value it writes is still there. So whoever writes a node, and however old his knowledge is, it is the smallest.
 * - A node changes only from a value that is known to the value that follows from the claims: there is no moment between
 *   at which it is missing or has a value that nobody claims.
 * - A node without claims that does not hang on our lease is somebody else's, and is never written to.
 * - What cannot be written hinders nothing else: what is refused is told by itself, and what fails is told as unsure.
 */
export interface Settler {
  /** Never rejects. */
  settle(holder: Holder, groups: Iterable<Group>, signal: AbortSignal): Promise<Settled>
  /** What we claim for a node by all that is known. */
  claimOf(node: string, holder: Holder): string | undefined
  /** Another store, or another holder: what we have written is not to be counted on. */
  forget(): void
}

/** What belongs together, and is written in one transaction: the nodes of one container. */
export type Group = readonly Wish[]

/** etcd takes several to its disk at once. */
const AT_ONCE = 4
/** As often others may be faster than we are, with one group and with many. */
const MAX_TRIES = 20
const TRIES_TOGETHER = 3

/** One call, as far as it has come. */
interface Run {
  readonly holder: Holder
  readonly signal: AbortSignal
  written: number
  readonly altered: Set<string>
  readonly foreign: string[]
  readonly refused: Map<string, string>
  readonly unsure: string[]
  error?: unknown
  /** In a row: where nothing goes through any more, the rest need not wait for a deadline each. */
  failures: number
}

export function createSettler({ client, keys, view }: { client: EtcdClient; keys: Keys; view: View }): Settler {
  const knowledge = createKnowledge(view)

  async function settleBatch(batch: Batch, run: Run): Promise<void> {
    const { holder, signal } = run
    const knownOf = ({ node }: Wish) => knowledge.of(node, holder.process)
    let open = batch.flat().map((wish) => ({ wish, known: knownOf(wish) }))
    const tries = batch.length === 1 ? MAX_TRIES : TRIES_TOGETHER
    for (let tried = 0; tried < tries; tried++) {
      const moves = open.map(({ wish, known }) => moveOf(keys, holder, wish, known))
      run.foreign.push(...moves.filter(({ isForeign }) => isForeign).map(({ wish }) => wish.node))
      const ours = moves.filter(({ isForeign }) => !isForeign)
      if (ours.length === 0) return
      const request = transactionOf(keys, ours)
      if (isTooMuch(request)) return inOrder(halvesOf(without(run.foreign, batch)), run)
      const answer = await attempt(() => client.txn(request, signal))
      if ('refusal' in answer) return refuse(answer.refusal, without(run.foreign, batch), run)
      if (answer.succeeded) return remember(ours, BigInt(answer.header.revision), run)
      open = ours.map(({ wish }, index) => ({ wish, known: readLooks(holder, answer, index) }))
    }
    const rest = without(run.foreign, batch)
    if (rest.length > 1)
      return atOnce(
        rest.map((group) => [[group]]),
        run,
      )
    throw new HostlerError('ETCD', `others kept changing ${rest[0]?.[0]?.node} in etcd; it is tried again`)
  }

  /** One node may have spoilt it for all: it is looked for. */
  async function refuse(reason: string, batch: Batch, run: Run): Promise<void> {
    const [first, ...others] = batch.flat()
    if (!first) return
    if (others.length > 0) return inOrder(halvesOf(batch), run)
    run.refused.set(first.node, reason)
    run.failures = 0
  }

  async function inOrder(chain: Chain, run: Run): Promise<void> {
    let isBroken = false
    for (const batch of chain) {
      if (isBroken || run.failures >= AT_ONCE || run.signal.aborted) {
        run.unsure.push(...nodesOf(batch))
        continue
      }
      await settleBatch(batch, run).catch((error) => {
        // What follows a part of one group must not be there before it.
        isBroken = batch.length === 1
        fail(error, batch, run)
      })
    }
  }

  /** No two chains have a node in common: they need not wait for each other. */
  async function atOnce(chains: Iterable<Chain>, run: Run): Promise<void> {
    const limited = createLimit(AT_ONCE)
    await Promise.all([...chains].map((chain) => limited(() => inOrder(chain, run))))
  }

  function fail(error: unknown, batch: Batch, run: Run): void {
    run.failures++
    run.unsure.push(...nodesOf(batch))
    // That we are nobody any more is the one thing that has to be acted on.
    if (run.error === undefined || codeOf(error) === 'ETCD_LEASE') run.error = error
  }

  function remember(moves: readonly Move[], revision: bigint, run: Run): void {
    run.failures = 0
    for (const { wish, known, changes, own } of moves) {
      run.written += changes.length
      if (changes.length > 0) run.altered.add(wish.node)
      const now = { others: known.others, own: own(revision), revision }
      if (changes.length > 0) knowledge.learn(wish.node, run.holder.process, now)
    }
  }

  return {
    async settle(holder, groups, signal) {
      knowledge.forgetSeen()
      const run: Run = {
        ...{ holder, signal, written: 0, failures: 0, altered: new Set<string>() },
        foreign: [],
        refused: new Map(),
        unsure: [],
      }
      const before = (node: string) => prevailing(view.claims(node).values())?.value ?? ''
      await atOnce(chainsOf(storable(groups, run.refused), before), run)
      if (run.unsure.length > 0) run.error ??= signal.reason
      return run
    },
    claimOf: (node, { process }) => knowledge.of(node, process).own?.value,
    forget: knowledge.forget,
  }
}

const nodesOf = (batch: Batch): string[] => batch.flat().map(({ node }) => node)

async function attempt<T extends object>(work: () => Promise<T>): Promise<T | { readonly refusal: string }> {
  try {
    return await work()
  } catch (error) {
    if (codeOf(error) !== 'ETCD_REFUSED') throw error
    return { refusal: messageOf(error) }
  }
}

function without(nodes: readonly string[], batch: Batch): Batch {
  if (nodes.length === 0) return batch
  const gone = new Set(nodes)
  return batch.map((group) => group.filter(({ node }) => !gone.has(node))).filter((group) => group.length > 0)
}

/** Half of a character cannot be written in UTF-8: several such paths would be one and the same key. */
function* storable(groups: Iterable<Group>, refused: Map<string, string>): Generator<Group> {
  for (const group of groups) {
    const bad = group.filter(({ node }) => /\p{Cs}/u.test(node)).map(({ node }) => node)
    for (const node of bad) refused.set(node, 'its path is no text that could be stored: it has half a character in it')
    const [good] = without(bad, [group])
    if (good && good.length > 0) yield good
  }
}
