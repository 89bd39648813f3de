/** The value below which this share of the sorted samples lies (nearest rank). */
const rank = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]

/** Samples in, what the table shows out. A hundred samples are the least that have a 99th percentile. */
export function summarise(samples) {
  const sorted = [...samples].sort((a, b) => a - b)
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length
  const [min, max] = [sorted[0], sorted.at(-1)]
  const p99 = sorted.length < 100 ? {} : { p99: rank(sorted, 0.99) }
  return { n: sorted.length, min, p50: rank(sorted, 0.5), p95: rank(sorted, 0.95), ...p99, max, mean }
}
