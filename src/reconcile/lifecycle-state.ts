/** Sleep and wake as a whole: part of the state that the running process tells. */
export interface LifecycleState {
  /** Requests that wait at the public port now. */
  readonly held: number
  readonly dryRun: boolean
  /** When idle stacks were last looked for, in milliseconds since the epoch. */
  readonly lookedAt?: number
  /** Why it cannot be told who is idle; nobody is put to sleep meanwhile. */
  readonly problems: readonly string[]
  /** What was done so far about those who were idle, by what, why and outcome: `sleep idle asleep`. */
  readonly counts: Readonly<Record<string, number>>
  /** Those that can be woken, sorted by name. */
  readonly groups: readonly GroupSummary[]
}

export interface GroupSummary {
  readonly name: string
  /** `asleep`, `waking`, `awake`, `falling-asleep` or `failed`. */
  readonly phase: string
  /** All times are milliseconds since the epoch. */
  readonly since: number
  readonly idleSince?: number
  /** Absent while something else than time keeps it awake. */
  readonly sleepsAt?: number
  /** What does: a word, and the container, group or reason that goes with it. */
  readonly keptBy?: string
  readonly keptDetail?: string
  readonly lastWake?: { readonly at: number; readonly ms: number }
  /** Why the last start failed, or what ends again and again. */
  readonly trouble?: string
  readonly retryAt?: number
}
