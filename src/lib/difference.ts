/** What has gone from a list and what has come to it. */
export interface Difference<T> {
  readonly gone: readonly T[]
  readonly come: readonly T[]
}

/** By identity, whatever their order. Two long lists that differ in one place cost one look at each item. */
export function differenceOf<T>(before: readonly T[], now: readonly T[]): Difference<T> {
  const shorter = Math.min(before.length, now.length)
  let head = 0
  while (head < shorter && before[head] === now[head]) head++
  let tail = 0
  while (tail < shorter - head && before.at(-1 - tail) === now.at(-1 - tail)) tail++
  const gone = new Set(before.slice(head, before.length - tail))
  const come = now.slice(head, now.length - tail).filter((item) => !gone.delete(item))
  return { gone: [...gone], come }
}
