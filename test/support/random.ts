/** Numbers from 0 to 1 that are the same for the same seed: a multiply-with-carry generator is random enough for tests. */
export function seededRandom(seed: number) {
  let [low, high] = [seed | 1, (seed ^ 0x9e3779b9) | 1]
  const next = () => {
    low = 36_969 * (low & 0xffff) + (low >>> 16)
    high = 18_000 * (high & 0xffff) + (high >>> 16)
    return (((low << 16) + (high & 0xffff)) >>> 0) / 2 ** 32
  }
  return { next, pick: <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)] as T }
}
