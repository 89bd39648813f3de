import type { MadeBackend, Member } from './backend.js'
import type { Claims } from './claims.js'
import type { Holder } from './holder.js'
import type { HostPattern } from './label-values.js'
import type { Plan } from './plan.js'

/** A plan, what it was made from, and what the next one can take over. */
export interface Round {
  readonly present: readonly Holder[]
  /** Nobody who holds anything came later. */
  readonly youngest: Holder | undefined
  readonly claims: Claims
  /** By what the members of a backend have in common. */
  readonly kept: Map<string, Kept>
  readonly plan: Plan
}

/** A backend and what it was made from, so that the next plan can tell that nothing changed. */
export interface Kept {
  readonly members: readonly Member[]
  readonly hosts: readonly HostPattern[]
  readonly made: MadeBackend
}
