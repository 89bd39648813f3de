import type { GroupState, WakeStep } from '../../lifecycle/world.js'
import type { StepContext } from './pages.js'

/** What people who wait are shown of a group's start. */
export interface Progress {
  readonly phase: GroupState['phase'] | 'unknown'
  readonly waitedMs: number
  readonly waitedSeconds: number
  readonly usualMs: number | null
  readonly usualSeconds: number | null
  readonly steps: readonly StepContext[]
}

const WORDS: Readonly<Record<WakeStep['what'], string>> = {
  waiting: 'waiting for another service',
  starting: 'starting',
  probing: 'started, not answering yet',
  ready: 'ready',
  failed: 'failed',
}

export function progressOf(state: GroupState | undefined, now: number): Progress {
  const isWaking = state?.phase === 'waking'
  const waitedMs = isWaking ? Math.max(0, now - state.since) : 0
  const usualMs = state?.lastWake?.ms ?? null
  return {
    phase: state?.phase ?? 'unknown',
    waitedMs,
    waitedSeconds: Math.floor(waitedMs / 1000),
    usualMs,
    usualSeconds: usualMs === null ? null : Math.max(1, Math.round(usualMs / 1000)),
    steps: isWaking ? state.steps.map(({ service, what }) => ({ service, what, words: WORDS[what] })) : [],
  }
}
