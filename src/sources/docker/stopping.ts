import { constants } from 'node:os'
import type { Container } from './container.js'

/**
 * `docker stop` first sends the container's stop signal, which shows as a `kill` event, and waits for it to end. From
 * that moment it takes no traffic. Signals such as HUP are sent to containers that go on living.
 */
export interface KillMark {
  readonly signal: number
  /** Monotonic milliseconds. */
  readonly at: number
}

const TERM = 15
const KILL = 9
const DEFAULT_STOP_MS = 10_000
/** For the engine to say so once it has ended. */
const GRACE_MS = 5000

/** Was told to stop and may still do so. One that outlives its stop timeout has decided to go on. */
export function isStopping(container: Container, mark: KillMark | undefined, nowMs: number): boolean {
  if (!mark || container.state !== 'running') return false
  if (mark.signal !== TERM && mark.signal !== KILL && mark.signal !== container.stop?.signal) return false
  return nowMs < mark.at + (container.stop?.timeoutMs ?? DEFAULT_STOP_MS) + GRACE_MS
}

const RTMIN = 34
const RTMAX = 64

/** `15`, `TERM`, `SIGTERM`, `SIGRTMIN+3` to a number; undefined for anything else. */
export function signalNumber(text: string): number | undefined {
  if (/^\d{1,2}$/.test(text)) return Number(text) || undefined
  const name = text.toUpperCase().replace(/^(?!SIG)/, 'SIG')
  const realTime = /^SIGRT(MIN\+|MAX-)(\d{1,2})$/.exec(name)
  if (realTime) return realTime[1] === 'MIN+' ? RTMIN + Number(realTime[2]) : RTMAX - Number(realTime[2])
  if (name === 'SIGRTMIN') return RTMIN
  if (name === 'SIGRTMAX') return RTMAX
  return Object.hasOwn(constants.signals, name) ? constants.signals[name as NodeJS.Signals] : undefined
}
