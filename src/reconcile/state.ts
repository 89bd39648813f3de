import type { Plan } from '../model/plan.js'
import type { AppliedChange } from './changes.js'
import type { LifecycleState } from './lifecycle-state.js'

/** What the running process knows of itself: served at /api/state, printed by `hostler status`, measured by /metrics. */
export interface State {
  readonly version: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly domain: string
  /** How a browser reaches the proxies from outside: what a link to a route starts with. */
  readonly entrance?: { readonly scheme: 'http' | 'https'; readonly port: number }
  /** Why it is not ready, one line each; empty when it is. */
  readonly problems: readonly string[]
  readonly sources: readonly SourceState[]
  readonly proxies: readonly ProxyState[]
  /** Where what runs is announced; absent where nowhere. */
  readonly registries?: readonly RegistryState[]
  readonly plan: Plan
  /** Sleep and wake; absent where this process has no part in it. */
  readonly lifecycle?: LifecycleState
}

export interface SourceState {
  readonly name: string
  readonly instances: number
  /** When it last told the whole truth; undefined before the first time. Milliseconds since the epoch. */
  readonly updatedAt?: number
  /** Why it cannot be read now; its last good facts stay in force meanwhile. */
  readonly error?: string
}

export interface RegistryState {
  readonly name: string
  /** What is announced there now. */
  readonly entries: number
  /** When it was last in step; undefined before the first time. Milliseconds since the epoch. */
  readonly syncedAt?: number
  /** Why it is not in step; what was announced before stays. */
  readonly error?: string
  /** What of single containers could not be announced as it should, one line each. */
  readonly troubles: readonly string[]
  readonly writes: number
  readonly removals: number
  readonly failures: number
}

export interface ProxyState {
  readonly name: string
  /** A round has ended well: what the plan wants is in force. */
  readonly settled: boolean
  /** The last changes that the proxy took, the newest first. */
  readonly changes: readonly AppliedChange[]
  /** Why the newest plan is not in force; undefined when it is. */
  readonly error?: string
  readonly applies: Readonly<Record<string, number>>
  readonly failures: number
  /** Backends that the proxy itself refused, with its words. */
  readonly refused: readonly { readonly backend: string; readonly reason: string }[]
  readonly details: Readonly<Record<string, string | number | boolean>>
}
