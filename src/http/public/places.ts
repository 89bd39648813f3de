/** How many may be somewhere at once, overall and for one group. A place is given back once, however often that is asked for. */
export interface Places {
  /** @returns what gives the place back; undefined when all are taken */
  take(group: string): (() => void) | undefined
  taken(): number
}

export interface PlacesOptions {
  readonly max: number
  readonly maxPerGroup: number
  /** Told of every change. */
  readonly changed?: ((group: string, by: 1 | -1) => void) | undefined
}

export function createPlaces({ max, maxPerGroup, changed }: PlacesOptions): Places {
  const byGroup = new Map<string, number>()
  let all = 0
  const count = (group: string, by: 1 | -1) => {
    const now = (byGroup.get(group) ?? 0) + by
    if (now === 0) byGroup.delete(group)
    else byGroup.set(group, now)
    all += by
    changed?.(group, by)
  }
  return {
    taken: () => all,
    take(group) {
      if (all >= max || (byGroup.get(group) ?? 0) >= maxPerGroup) return undefined
      count(group, 1)
      let isTaken = true
      return () => {
        if (isTaken) count(group, -1)
        isTaken = false
      }
    },
  }
}
