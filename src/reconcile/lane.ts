import { createAlarm } from '../lib/alarm.js'
import { createBackoff } from '../lib/backoff.js'
import type { Clock } from '../lib/clock.js'
import { createDeferred } from '../lib/deferred.js'
import { HostlerError, messageOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import { createTurns } from '../lib/turns.js'
import type { Backend, Plan } from '../model/plan.js'
import { type Applied, LoadRefused, type Proxy } from '../proxies/proxy.js'
import type { Published, Publisher, RenderedFile, Stage } from '../publish/files.js'
import { changeOf, createChanges } from './changes.js'
import { lookAhead, type ProxyPreview } from './preview.js'
import type { ProxyState } from './state.js'
import { withoutBackends } from './without.js'

/**
 * One proxy's way from plan to "in force": render, stage, check, rename, apply. One round at a time; plans and hints that
 * arrive meanwhile become one next round. A round that fails is tried again with backoff, sooner when something new comes.
 *
 * INVARIANTS
 * - What is on disk has passed the proxy's own check, and what the proxy refused to load is taken back from disk.
 * - A round is done only when the proxy has taken it.
 * - A backend that the proxy refuses is left out until it or the proxy's own files change; the others go on.
 */
export interface Lane {
  /**
   * Something changed: facts, templates, base config, certificates, or the proxy itself.
   * @param since when a change of facts was first heard of, on the monotonic clock
   */
  nudge(since?: number): void
  /** The same for a change of what decides over a backend beside the plan, a template say: what was refused is tried again. */
  reconsider(): void
  /**
   * Resolves when the proxy has taken a plan that was made after this call, however many rounds that takes.
   * @throws when the signal fires first
   */
  inForce(signal: AbortSignal): Promise<void>
  /** Runs until aborted. `plan` gives the newest plan, or undefined while it is too early for one. */
  run(plan: () => Plan | undefined, signal: AbortSignal): Promise<void>
  state(): ProxyState
  /** What the next round would do with this plan, without doing it. */
  preview(plan: Plan | undefined, signal: AbortSignal): Promise<ProxyPreview>
}

export interface LaneInputs {
  readonly proxy: Proxy
  readonly publisher: Publisher
  readonly log: Logger
  readonly clock: Clock
  /** Called after every round that put something in force or failed. */
  readonly done: (outcome: RoundOutcome) => void
}

export type RoundOutcome =
  | {
      readonly proxy: string
      readonly applied: Applied
      readonly changed: readonly string[]
      readonly publishedMs: number
    }
  | { readonly proxy: string; readonly failed: unknown }

/** More backends refused in one round than this means that the cause lies elsewhere. */
const MAX_REFUSED_ROUNDS = 20

export function createLane({ proxy, publisher, log, clock, done }: LaneInputs): Lane {
  const backoff = createBackoff({ firstMs: 500, maxMs: 30_000 })
  const alarm = createAlarm(clock)
  const refused = new Map<string, { backend: Backend; reason: string }>()
  const applies: Record<string, number> = {}
  /** Published since the proxy last took something. */
  const pending: Published[] = []
  /** They wait for a plan that is made from now on to be in force. */
  const waiting = new Set<() => void>()
  let newer = new AbortController()
  let forgiving = false
  let failures = 0
  let error: string | undefined
  let settled = false
  const changes = createChanges()
  const publishing = createTurns()
  const looking = createTurns()
  /** What the files in place were made from, and what the proxy took last. */
  let published: Plan | undefined
  let inForce: Plan | undefined
  let since: number | undefined

  async function round(current: Plan, waited: readonly (() => void)[], signal: AbortSignal): Promise<void> {
    const heard = since
    since = undefined
    newer = new AbortController()
    const change = await publishing
      .take(() => publish(current, signal))
      .catch(async (cause) => {
        await loadPending(signal)
        throw cause
      })
    if (change) pending.push(change)
    published = withoutBackends(current, refused)
    const publishedMs = heard === undefined ? 0 : clock.elapsed() - heard
    const applied = await proxy.apply(signal, newer.signal).catch(async (cause) => {
      await takeBack()
      if (!(cause instanceof LoadRefused) || !refuse(current, cause)) throw cause
      alarm.ring()
    })
    if (!applied) return
    if (applied.how !== 'later') {
      succeeded(applied)
      for (const resolve of waited) resolve()
    }
    done({ proxy: proxy.name, applied, changed: change?.changed ?? [], publishedMs })
  }

  async function publish(current: Plan, signal: AbortSignal): Promise<Published | undefined> {
    const stage = await accepted(current, signal)
    if (stage.changed) return stage.commit()
    await stage.discard()
    return undefined
  }

  /** What was published and waits for its turn cannot wait for a plan that is refused. */
  async function loadPending(signal: AbortSignal): Promise<void> {
    if (pending.length === 0) return
    const applied = await proxy.apply(signal, signal).catch(takeBack)
    if (applied) succeeded(applied)
  }

  /** Puts back what the proxy runs on, the newest set first. */
  async function takeBack(): Promise<void> {
    for (const change of pending.splice(0).reverse()) await change.rollback()
  }

  /** Stages the plan, leaving out one by one what the proxy will not have. */
  async function accepted(current: Plan, signal: AbortSignal): Promise<Stage> {
    forgetChanged(current)
    for (let attempt = 0; attempt < MAX_REFUSED_ROUNDS; attempt++) {
      const stage = await publisher.stage(proxy.render(withoutBackends(current, refused)))
      const verdict = stage.changed
        ? await discardOnThrow(stage, () => proxy.check(stage, signal))
        : ({ ok: true } as const)
      if (verdict.ok) return stage
      await stage.discard()
      if (!refuse(current, verdict))
        throw new HostlerError('REFUSED', `${proxy.name} refuses the new files: ${verdict.message}`)
    }
    throw new HostlerError('REFUSED', `${proxy.name} refuses one backend after another; see the log for each`)
  }

  /** A backend that was made anew since gets another chance. */
  function forgetChanged(current: Plan): void {
    const kept = stillRefused(current)
    forgiving = false
    for (const name of refused.keys()) if (!kept.has(name)) refused.delete(name)
  }

  function stillRefused(current: Plan): ReadonlyMap<string, { backend: Backend; reason: string }> {
    if (forgiving || refused.size === 0) return new Map()
    const present = new Set(current.backends)
    return new Map([...refused].filter(([, { backend }]) => present.has(backend)))
  }

  function look(current: Plan | undefined, signal: AbortSignal): Promise<ProxyPreview> {
    const out = current === undefined ? refused : stillRefused(current)
    const asked = {
      plan: current && withoutBackends(current, out),
      refused: reasonsIn(out),
      error,
      differing: (files: readonly RenderedFile[]) => publishing.take(() => publisher.differing(files)),
    }
    return lookAhead(proxy, asked, signal)
  }

  function refuse(current: Plan, { culprits, message }: { culprits: readonly string[]; message: string }): boolean {
    const named = current.backends.filter(({ name }) => culprits.includes(name) && !refused.has(name))
    for (const backend of named) {
      refused.set(backend.name, { backend, reason: message })
      log.warn(
        { backend: backend.name, stack: backend.stack, reason: message },
        'the proxy refuses this backend; it is left out',
      )
    }
    return named.length > 0
  }

  function succeeded(applied: Applied): void {
    const changed = unique(pending.flatMap((one) => one.changed))
    if (error !== undefined) log.info({ proxy: proxy.name }, 'the proxy is in step again')
    error = undefined
    settled = true
    pending.length = 0
    backoff.reset()
    const before = inForce
    inForce = published
    if (applied.how === 'nothing' && changed.length === 0) return
    const change = changeOf(applied, { at: clock.now(), files: changed, before, now: published })
    const { how, ms, why } = change
    applies[how] = (applies[how] ?? 0) + 1
    changes.add(change)
    log.info({ proxy: proxy.name, how, ms: Math.round(ms), why, files: changed }, 'the proxy has the new configuration')
  }

  function failed(cause: unknown): void {
    failures++
    const message = messageOf(cause)
    if (message !== error) log.error({ proxy: proxy.name, err: cause }, 'the newest plan is not in force; trying again')
    error = message
    done({ proxy: proxy.name, failed: cause })
  }

  function nudge(heard?: number): void {
    since ??= heard
    newer.abort()
    alarm.ring()
  }

  return {
    nudge,
    reconsider() {
      forgiving = true
      nudge()
    },
    inForce(signal) {
      const taken = createDeferred()
      const abandon = () => taken.reject(signal.reason)
      if (signal.aborted) abandon()
      else {
        waiting.add(taken.resolve)
        signal.addEventListener('abort', abandon)
        nudge()
      }
      return taken.promise.finally(() => {
        waiting.delete(taken.resolve)
        signal.removeEventListener('abort', abandon)
      })
    },
    async run(newest, signal) {
      while (!signal.aborted) {
        await alarm.wait(error === undefined ? undefined : backoff.next(), signal)
        try {
          // Before the plan is made: who comes later may not be in it.
          const waited = [...waiting]
          const plan = signal.aborted ? undefined : newest()
          if (plan) await round(plan, waited, signal)
        } catch (cause) {
          if (!signal.aborted) failed(cause)
        }
      }
    },
    state: () => ({
      name: proxy.name,
      settled,
      changes: changes.list(),
      ...(error !== undefined && { error }),
      applies: { ...applies },
      failures,
      refused: reasonsIn(refused),
      details: proxy.describe(),
    }),
    // One at a time: a round then waits for one of them at the most.
    preview: (current, signal) => looking.take(() => look(current, signal)),
  }
}

const reasonsIn = (refused: ReadonlyMap<string, { reason: string }>): ProxyState['refused'] =>
  [...refused].map(([backend, { reason }]) => ({ backend, reason }))

const unique = (paths: readonly string[]): string[] => [...new Set(paths)]

async function discardOnThrow<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    await stage.discard()
    throw error
  }
}
