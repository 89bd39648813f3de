import { createAlarm } from '../../lib/alarm.js'
import type { Clock } from '../../lib/clock.js'
import { linkedSignal } from '../../lib/signals.js'
import type { ConsulAgent } from './agent.js'
import { noOutcome, type Outcome } from './attempts.js'
import { ghostMs } from './entries.js'
import { createPost, failureOf, type Post } from './post.js'
import type { Wish } from './wish.js'

/**
 * The agents that we announce to, each at its own pace: one that does not answer is a trouble, and holds up nobody else.
 *
 * INVARIANTS
 * - While `run` runs, a sync waits for no agent that failed last time, and for others only so long; what they do later is told by
 *   asking for another sync. Without it a sync does everything before it ends.
 * - An agent of which nothing is asked is forgotten when it has been cleared, or cannot be reached until all that we announced
 *   there has ended by itself.
 */
export interface Agents {
  /** Has the agent at this address among them. @throws HostlerError `CONFIG` for what is no address */
  add(url: string): void
  has(url: string): boolean
  all(): readonly Post[]
  /** Whether `run` runs. */
  isRunning(): boolean
  /** Has `run` ask for a sync. */
  ring(): void
  /** @throws HostlerError when none of them can be announced to */
  sync(wish: Wish, signal: AbortSignal): Promise<Outcome>
  run(disturbed: () => void, signal: AbortSignal): Promise<void>
  withdraw(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

export interface AgentsInputs {
  /** There is one only, whose failure is that of all. */
  readonly isFixed: boolean
  readonly leaseMs: number
  readonly create: (url: string) => ConsulAgent
  readonly clock: Clock
}

/** How long a change waits for agents that have not failed before. */
const PATIENCE_MS = 2000

export function createAgents({ isFixed, leaseMs, create, clock }: AgentsInputs): Agents {
  const posts = new Map<string, Post>()
  const alarm = createAlarm(clock)
  /** Those for which one sync has waited in vain. */
  const slow = new Set<Post>()
  const leaving = new Map<Post, AbortController>()
  const ends = new Set<Promise<unknown>>()
  let keep: ((post: Post) => void) | undefined
  let broken: { readonly reason: unknown } | undefined
  /** The next sync is one that we have asked for: it says nothing of how the agents that are well fare. */
  let isOwnCall = false
  let wish: Wish | undefined

  function add(url: string): void {
    if (posts.has(url)) return
    const post = createPost(url, create(url), clock)
    posts.set(url, post)
    keep?.(post)
  }

  function forget(post: Post): void {
    posts.delete(post.url)
    slow.delete(post)
    leaving.get(post)?.abort()
    leaving.delete(post)
    track(post.agent.close())
  }

  function track(work: Promise<unknown>): void {
    const tracked = work
      .catch((reason: unknown) => {
        broken ??= { reason }
        alarm.ring()
      })
      .finally(() => ends.delete(tracked))
    ends.add(tracked)
  }

  /** Without a lease nobody but we takes back what is there. */
  const isForgettable = (post: Post): boolean =>
    post.isCleared() || (leaseMs > 0 && post.isIdle() && post.error() !== undefined && post.badMs() > ghostMs(leaseMs))

  /** Of ids that are not asked for here, those that are at an agent which may be this one under another address. */
  async function spared(post: Post, ids: readonly string[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    const found = new Set<string>()
    for (const id of ids) {
      for (const other of posts.values()) {
        if (other !== post && wish?.byAgent.get(other.url)?.has(id) && (await maybeSame(post, other, signal)))
          found.add(id)
      }
    }
    return found
  }

  async function take(post: Post, { byAgent, isWhole, isKept, afresh }: Wish, signal: AbortSignal): Promise<void> {
    const entries = byAgent.get(post.url) ?? new Map()
    const asked = { entries, isWhole, isKept, afresh, spared: (ids: readonly string[]) => spared(post, ids, signal) }
    const wasBad = post.error() !== undefined
    await post.take(asked, signal)
    // Nobody waited for this one, or nobody does any more.
    if (slow.delete(post) || wasBad || post.error() !== undefined) alarm.ring()
  }

  async function patience(turns: readonly (readonly [Post, Promise<void>])[], signal: AbortSignal): Promise<void> {
    const waiting = new Set<Post>()
    const ended = turns
      .filter(([post]) => post.error() === undefined && !slow.has(post))
      .map(([post, turn]) => {
        waiting.add(post)
        return turn.then(() => waiting.delete(post))
      })
    if (ended.length === 0) return
    const over = new AbortController()
    const late = clock.sleep(PATIENCE_MS, over.signal).catch(() => undefined)
    await Promise.race([Promise.all(ended), late])
    over.abort()
    signal.throwIfAborted()
    for (const post of waiting) slow.add(post)
  }

  function sum(): Outcome {
    const total = noOutcome()
    const all = [...posts.values()]
    const failed = all.filter((post) => post.error() !== undefined)
    const [first] = failed
    if (first && failed.length === all.length && (!keep || failed.some((post) => !post.isIdle()))) throw first.error()
    for (const post of all) {
      const { entries, written, removed, troubles } = post.news()
      total.entries += entries
      total.written += written
      total.removed += removed
      total.troubles.push(...troubles)
      if (post.error() !== undefined) total.troubles.push(failureOf(post))
      else if (slow.has(post)) total.troubles.push(`${post.agent.shown} has not answered yet`)
    }
    return total
  }

  return {
    add,
    has: (url) => posts.has(url),
    all: () => [...posts.values()],
    isRunning: () => keep !== undefined,
    ring: alarm.ring,
    async sync(asked, signal) {
      const next = { ...asked, afresh: asked.afresh && !isOwnCall }
      isOwnCall = false
      wish = next
      const due = [...posts.values()].filter((post) => isFixed || !keep || !post.isResting())
      const turns = due.map((post) => [post, take(post, next, signal)] as const)
      if (keep && !isFixed) await patience(turns, signal)
      else await Promise.all(turns.map(([, turn]) => turn))
      signal.throwIfAborted()
      const total = sum()
      if (!isFixed) for (const post of [...posts.values()].filter(isForgettable)) forget(post)
      return total
    },
    async run(disturbed, signal) {
      const call = () => {
        isOwnCall = true
        disturbed()
      }
      keep = (post) => {
        const stopping = new AbortController()
        leaving.set(post, stopping)
        const lost = () => {
          post.wake()
          call()
        }
        track(whileBoth(signal, stopping.signal, (either) => post.agent.run(lost, either)))
      }
      for (const post of posts.values()) keep(post)
      while (!signal.aborted) {
        const rests = [...posts.values()].flatMap((post) => post.restMs() ?? [])
        await alarm.wait(rests.length > 0 ? Math.min(...rests) : undefined, signal)
        if (broken) throw broken.reason
        if (signal.aborted) break
        for (const post of posts.values()) if (!post.isResting()) post.wake()
        if (!isFixed) call()
      }
      keep = undefined
      await Promise.all(ends)
    },
    async withdraw(signal) {
      const results = await Promise.allSettled([...posts.values()].map(({ agent }) => agent.withdraw(signal)))
      for (const result of results) if (result.status === 'rejected') throw result.reason
    },
    async close() {
      await Promise.all([...posts.values()].map(({ agent }) => agent.close()))
      await Promise.all([...posts.values()].map((post) => post.quiet()))
      await Promise.all(ends)
    },
  }
}

/** Agents whose names are not known may be one. */
async function maybeSame(a: Post, b: Post, signal: AbortSignal): Promise<boolean> {
  const nameOf = ({ agent }: Post) => agent.node(signal).catch(() => undefined)
  const [one, other] = await Promise.all([nameOf(a), nameOf(b)])
  return one === undefined || other === undefined || one === other
}

async function whileBoth(a: AbortSignal, b: AbortSignal, work: (either: AbortSignal) => Promise<void>): Promise<void> {
  if (a.aborted || b.aborted) return
  await linkedSignal([a, b], work)
}
