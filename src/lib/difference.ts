/** What has gone from a list and what has come to it. */
export interface Difference<T> {
  readonly gone: readonly T[]
  readonly come: readonly T[]
}

/** By identity, whatever their order; no item may occur twice. Two long lists that differ in one place cost one look at each. */
export function differenceOf<T>(before: readonly T[], now: readonly T[]): Difference<T> {
  const { from, to } = changedRange(before, now)
  const gone = new Set(before.slice(from, to.before))
  const come = now.slice(from, to.now).filter((item) => !gone.delete(item))
  return { gone: [...gone], come }
}

/** Between a common head and a common tail; both ends are the first that is alike again. */
export function changedRange<T>(before: readonly T[], now: readonly T[]) {
  const shorter = Math.min(before.length, now.length)
  let from = 0
  while (from < shorter && before[from] === now[from]) from++
  let tail = 0
  while (tail < shorter - from && before.at(-1 - tail) === now.at(-1 - tail)) tail++
  return { from, to: { before: before.length - tail, now: now.length - tail } }
}
