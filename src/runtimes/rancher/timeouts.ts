/** How long Rancher may take for each. */
export const DEFAULT_TIMEOUTS = {
  /** Its hosts pull images when a service is activated. */
  startMs: 600_000,
  /** Beside the time that the containers themselves may take. */
  stopMs: 60_000,
  removeMs: 120_000,
  /** Until an action that the state should allow is offered, while nothing is under way. */
  actionMs: 30_000,
  /** How long Rancher may fail to answer while something is under way. */
  silenceMs: 15_000,
  /** Between two looks at what is under way. */
  lookMs: 250,
} as const

export type Timeouts = Readonly<Record<keyof typeof DEFAULT_TIMEOUTS, number>>
