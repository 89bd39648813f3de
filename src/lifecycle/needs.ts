import type { Group, Groups } from '../model/groups.js'

/** Who must be up because of whom. */
export interface Needs {
  /** Group → an awake group that needs it, perhaps by way of others. */
  readonly neededBy: ReadonlyMap<string, string>
  /** Groups that some group needs, be that awake or not. */
  readonly wanted: ReadonlySet<string>
  /** The groups that need each other in a circle with this one: they can only sleep together. */
  tiedTo(group: string): readonly string[]
}

/** @param awake groups that run, or are about to */
export function needsOf({ byName }: Pick<Groups, 'byName'>, awake: ReadonlySet<string>): Needs {
  const circles = createCircles(byName)
  const neededBy = new Map<string, string>()
  for (const name of awake) {
    const group = byName.get(name)
    if (!group || group.needs.length === 0) continue
    const tied = circles(name)
    for (const needed of group.needs) if (!tied.includes(needed)) mark(needed, name)
  }
  return { neededBy, wanted: new Set([...byName.values()].flatMap(({ needs }) => needs)), tiedTo: circles }

  function mark(needed: string, by: string): void {
    if (neededBy.has(needed)) return
    neededBy.set(needed, by)
    for (const next of byName.get(needed)?.needs ?? []) mark(next, by)
  }
}

/** For each group, the others that it can be reached from and that reach it. */
function createCircles(byName: ReadonlyMap<string, Group>): (group: string) => readonly string[] {
  const known = new Map<string, readonly string[]>()
  const reach = (from: string): Set<string> => {
    const seen = new Set<string>()
    const rest = [from]
    for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
      for (const next of byName.get(name)?.needs ?? []) {
        if (seen.has(next)) continue
        seen.add(next)
        rest.push(next)
      }
    }
    return seen
  }
  return (group) => {
    const found = known.get(group)
    if (found) return found
    const needs = byName.get(group)?.needs ?? NOBODY
    // What is needed mostly needs nobody.
    const mayClose = needs.some((name) => (byName.get(name)?.needs.length ?? 0) > 0)
    const circle = mayClose ? [...reach(group)].filter((other) => other !== group && reach(other).has(group)) : NOBODY
    known.set(group, circle)
    return circle
  }
}

const NOBODY: readonly string[] = []
