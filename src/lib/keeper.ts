import { isDeepStrictEqual } from 'node:util'

/** Hands out the object of last time for everything that is still the same, and tells of what is not. */
export function createKeeper<T extends { readonly id: string }>(onNew: (one: T) => void = () => undefined) {
  let known: ReadonlyMap<string, T> = new Map()
  return (all: readonly T[]): readonly T[] => {
    const kept = all.map((one) => {
      const before = known.get(one.id)
      if (before && isDeepStrictEqual(before, one)) return before
      onNew(one)
      return one
    })
    known = new Map(kept.map((one) => [one.id, one]))
    return kept
  }
}
