const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `1500ms`, `10s`, `15m`, `2h`, `1d` or `0` to milliseconds; undefined when it is none of them. */
export function parseDuration(text: string): number | undefined {
  if (text.trim() === '0') return 0
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text.trim())
  if (!match?.[1] || !match[2]) return undefined
  return Math.round(Number(match[1]) * (UNITS[match[2]] ?? 1))
}

/** Milliseconds to the shortest exact text: 90000 → `90s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0'
  const unit = ['d', 'h', 'm', 's'].find((name) => ms % (UNITS[name] ?? 1) === 0) ?? 'ms'
  return `${ms / (UNITS[unit] ?? 1)}${unit}`
}
