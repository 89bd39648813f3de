import { createAlarm } from '../lib/alarm.js'
import { createBackoff } from '../lib/backoff.js'
import type { Clock } from '../lib/clock.js'
import { messageOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import type { AnnouncedFacts, Registry, SyncResult } from '../registries/registry.js'
import type { RegistryState } from './state.js'

/**
 * One registry's way from facts to "announced". One sync at a time; facts that change meanwhile become one next sync. One that
 * fails is tried again with backoff, and nothing is taken back because of it.
 */
export interface Registration {
  /** Facts have changed. */
  nudge(): void
  /** Runs until aborted. */
  run(signal: AbortSignal): Promise<void>
  /** After `run` has ended. @param withdraw whether everything is taken back at once */
  end(withdraw: boolean, signal: AbortSignal): Promise<void>
  state(): RegistryState
}

export interface RegistrationInputs {
  readonly registry: Registry
  /** Undefined while it is too early to tell. */
  readonly facts: () => AnnouncedFacts | undefined
  /** How often it is looked after whatever happens. */
  readonly pollIntervalMs: number
  readonly clock: Clock
  readonly log: Logger
}

export function createRegistration(inputs: RegistrationInputs): Registration {
  const { registry, clock } = inputs
  const log = inputs.log.child({ registry: registry.name })
  const alarm = createAlarm(clock)
  const backoff = createBackoff({ firstMs: 250, maxMs: 10_000 })
  const complain = createComplaints(log)
  let last: SyncResult | undefined
  let syncedAt: number | undefined
  let error: string | undefined
  let writes = 0
  let removals = 0
  let failures = 0

  async function sync(signal: AbortSignal): Promise<number> {
    const facts = inputs.facts()
    if (!facts) return inputs.pollIntervalMs
    const began = clock.elapsed()
    try {
      succeeded(await registry.sync(facts, signal), clock.elapsed() - began)
      return inputs.pollIntervalMs
    } catch (cause) {
      if (!signal.aborted) failed(cause)
      return backoff.next()
    }
  }

  function succeeded(result: SyncResult, tookMs: number): void {
    const { entries, written, removed } = result
    if (error !== undefined) log.info({ entries }, 'the registry is in step again')
    if (written + removed > 0) log.info({ entries, written, removed, ms: Math.round(tookMs) }, 'announced')
    writes += written
    removals += removed
    last = result
    syncedAt = clock.now()
    error = undefined
    backoff.reset()
    complain(result.troubles)
  }

  function failed(cause: unknown): void {
    failures++
    const message = messageOf(cause)
    if (message !== error) log.error({ err: cause }, 'announcing failed; it is tried again, and nothing is taken back')
    error = message
  }

  async function follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const waitMs = await sync(signal)
      if (!signal.aborted) await alarm.wait(waitMs, signal)
    }
  }

  return {
    nudge: alarm.ring,
    async run(signal) {
      try {
        await Promise.all([registry.run?.(alarm.ring, signal), follow(signal)])
      } catch (cause) {
        error = messageOf(cause)
        throw cause
      }
    },
    async end(withdraw, signal) {
      try {
        if (withdraw) await registry.withdraw?.(signal)
      } finally {
        await registry.close?.()
      }
    },
    state: () => ({
      name: registry.name,
      entries: last?.entries ?? 0,
      troubles: last?.troubles ?? [],
      ...(syncedAt !== undefined && { syncedAt }),
      ...(error !== undefined && { error }),
      ...{ writes, removals, failures },
    }),
  }
}

/** Says each trouble once when it appears, and once when it is over. */
function createComplaints(log: Logger): (troubles: readonly string[]) => void {
  let known: ReadonlySet<string> = new Set()
  return (troubles) => {
    const current = new Set(troubles)
    for (const trouble of current) if (!known.has(trouble)) log.warn({ trouble }, 'not announced as it should be')
    for (const trouble of known) if (!current.has(trouble)) log.info({ trouble }, 'a trouble is over')
    known = current
  }
}
