import type { Clock } from '../lib/clock.js'
import { createLimit } from '../lib/limit.js'
import { inTime } from '../lib/signals.js'
import type { Probe, ProbeTarget } from './probe.js'

/** Finds out when a container answers. */
export interface Readiness {
  /**
   * Resolves with true when every target answers, with false when the time-out comes first.
   * @throws when the signal fires
   */
  wait(targets: readonly ProbeTarget[], signal: AbortSignal): Promise<boolean>
}

export interface ReadinessInputs {
  readonly probe: Probe
  readonly timeoutMs: number
  readonly clock: Clock
}

export function createReadiness({ probe, timeoutMs, clock }: ReadinessInputs): Readiness {
  const limited = createLimit(MAX_PROBES)
  let waiting = 0

  async function answers(target: ProbeTarget, began: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      const waitedMs = clock.elapsed() - began
      if (await limited(() => probe(target, patienceMs(target, waitedMs), signal))) return
      await clock.sleep(pauseMs(clock.elapsed() - began, waiting), signal)
    }
  }

  return {
    async wait(targets, signal) {
      const began = clock.elapsed()
      const all = (ending: AbortSignal) => Promise.all(targets.map((target) => answers(target, began, ending)))
      waiting++
      try {
        return (await inTime({ ms: timeoutMs, clock }, signal, all)) !== undefined
      } finally {
        waiting--
      }
    },
  }
}

const MAX_PROBES = 256
const FIRST_PAUSE_MS = 2
const USUAL_PAUSE_MS = 10
const LAST_PAUSE_MS = 1000

/**
 * A tenth, later a fortieth of what has been waited for already, so that nobody who is there waits noticeably longer than
 * he had to. Many that start at once are asked less often each: two thousand probes a second are plenty for a machine that
 * starts them.
 */
const pauseMs = (waitedMs: number, waiting: number): number =>
  Math.min(LAST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, Math.min(USUAL_PAUSE_MS, waitedMs / 10), waitedMs / 40, waiting / 2))

/** A first packet that is lost is sent again after a second: a fresh try is sooner. A page may take its time. */
const patienceMs = ({ check }: ProbeTarget, waitedMs: number): number =>
  check ? CHECK_PATIENCE_MS : Math.min(CONNECT_PATIENCE_MS, Math.max(FIRST_PATIENCE_MS, waitedMs / 4))

const CHECK_PATIENCE_MS = 5000
const CONNECT_PATIENCE_MS = 2000
const FIRST_PATIENCE_MS = 250
