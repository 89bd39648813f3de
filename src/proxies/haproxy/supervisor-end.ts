import type { Clock } from '../../lib/clock.js'
import type { Logger } from '../../lib/logger.js'
import type { HaproxyProcess } from './supervisor-process.js'

const TERM_TIMEOUT_MS = 2000

/** Ends a HAProxy: SIGUSR1 lets its connections finish, SIGTERM after `softMs` does not, SIGKILL is the last word. */
export async function endProcess(
  process: HaproxyProcess,
  { softMs, log, clock }: { softMs: number; log: Logger; clock: Clock },
): Promise<void> {
  const steps = [
    ['SIGUSR1', softMs],
    ['SIGTERM', TERM_TIMEOUT_MS],
    ['SIGKILL', TERM_TIMEOUT_MS],
  ] as const
  for (const [name, ms] of steps) {
    process.signal(name)
    if (await within(process.exited, ms, clock)) return
    log.warn({ pid: process.pid, signal: name, ms }, 'HAProxy did not end in time')
  }
}

async function within(done: Promise<unknown>, ms: number, clock: Clock): Promise<boolean> {
  const timer = new AbortController()
  const late = clock.sleep(ms, timer.signal).then(() => false)
  late.catch(() => undefined)
  try {
    return await Promise.race([done.then(() => true), late])
  } finally {
    timer.abort()
  }
}
