/** A span in the two largest units that matter, for people: 11_000 → `11s`, 7_500_000 → `2h 5m`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 60) return `${seconds}s`
  const [large, small, unit, rest] = UNITS.find(([size]) => seconds >= size) ?? LAST
  const remainder = Math.floor((seconds % large) / small)
  return `${Math.floor(seconds / large)}${unit}${remainder > 0 ? ` ${remainder}${rest}` : ''}`
}

/** How long ago a moment was; a clock that ran backwards reads as `just now`. */
export const ago = (at: number, now: number): string => (now - at < 1000 ? 'just now' : `${span(now - at)} ago`)

const LAST = [60, 1, 'm', 's'] as const
const UNITS = [[86_400, 3600, 'd', 'h'], [3600, 60, 'h', 'm'], LAST] as const
