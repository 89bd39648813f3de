/** Who may matter to whom: those who belong to a circle together, and whoever is in another circle with one of them. */
export interface Neighbours<T> {
  add(item: T): void
  delete(item: T): void
  /** Everybody who is there and whom a change of these may touch, be it by way of others. */
  of(items: Iterable<T>): ReadonlySet<T>
}

/** @param circlesOf the names of an item's circles, always the same ones for the same item */
export function createNeighbours<T>(circlesOf: (item: T) => readonly string[]): Neighbours<T> {
  const circles = new Map<string, Set<T>>()
  return {
    add(item) {
      for (const name of circlesOf(item)) {
        const circle = circles.get(name)
        if (circle) circle.add(item)
        else circles.set(name, new Set([item]))
      }
    },
    delete(item) {
      for (const name of circlesOf(item)) {
        const circle = circles.get(name)
        circle?.delete(item)
        if (circle?.size === 0) circles.delete(name)
      }
    },
    of(items) {
      const names = new Set([...items].flatMap(circlesOf))
      const found = new Set<T>()
      for (const name of names) {
        for (const item of circles.get(name) ?? []) {
          if (found.has(item)) continue
          found.add(item)
          for (const other of circlesOf(item)) names.add(other)
        }
      }
      return found
    },
  }
}
