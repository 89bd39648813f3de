/** How long the engine may take for each. Well above what a loaded machine needs: what is cut off here is of unknown fate. */
export const DEFAULT_TIMEOUTS = {
  inspectMs: 10_000,
  listMs: 30_000,
  statsMs: 10_000,
  createMs: 60_000,
  startMs: 60_000,
  /** Pausing, joining a network. */
  actMs: 30_000,
  /** Beside the time that the container itself may take. */
  stopMs: 30_000,
  /** Deleting files takes its time. */
  removeMs: 120_000,
  /** Without a word of progress. */
  pullQuietMs: 120_000,
  pullMs: 3_600_000,
} as const

export type Timeouts = Readonly<Record<keyof typeof DEFAULT_TIMEOUTS, number>>
