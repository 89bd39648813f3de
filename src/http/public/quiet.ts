import type { Clock } from '../../lib/clock.js'

/** One line about a thing in a while is enough, however many requests it concerns. */
const QUIET_MS = 10_000

/** @returns whether this thing has not been spoken of for a while; it counts as spoken of then */
export function createQuiet(clock: Clock): (about: string) => boolean {
  const last = new Map<string, number>()
  return (about) => {
    const now = clock.elapsed()
    for (const [other, at] of last) if (now - at >= QUIET_MS) last.delete(other)
    if (last.has(about)) return false
    last.set(about, now)
    return true
  }
}
