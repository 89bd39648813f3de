import type { Group, Groups } from '../model/groups.js'

/** Who must be up because of whom. */
export interface Needs {
  /** Group → an awake group that needs it, perhaps by way of others. */
  readonly neededBy: ReadonlyMap<string, string>
  /** The groups that need each other in a circle with this one: they can only sleep together. */
  tiedTo(group: string): readonly string[]
}

/**
 * @param awake groups that run, or are about to
 * @param needy those of all groups that need others, where that is known
 */
export function needsOf(
  { byName }: Pick<Groups, 'byName'>,
  awake: ReadonlySet<string>,
  needy: Iterable<Group> = byName.values(),
): Needs {
  const circles = createCircles((name) => byName.get(name)?.needs ?? NOBODY)
  const neededBy = new Map<string, string>()
  for (const { name, needs } of needy) {
    if (needs.length === 0 || !awake.has(name)) continue
    const tied = circles(name)
    for (const needed of needs) if (!tied.includes(needed)) mark(needed, name)
  }
  return { neededBy, tiedTo: circles }

  function mark(needed: string, by: string): void {
    if (neededBy.has(needed)) return
    neededBy.set(needed, by)
    for (const next of byName.get(needed)?.needs ?? NOBODY) mark(next, by)
  }
}

/** For each group, the others that it can be reached from and that reach it. */
function createCircles(needsOf: (group: string) => Group['needs']): (group: string) => readonly string[] {
  const known = new Map<string, readonly string[]>()
  const reach = (from: string): Set<string> => {
    const seen = new Set<string>()
    const rest = [from]
    for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
      for (const next of needsOf(name)) {
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
    const needs = needsOf(group)
    // What is needed mostly needs nobody.
    const mayClose = needs.some((name) => needsOf(name).length > 0)
    const circle = mayClose ? [...reach(group)].filter((other) => other !== group && reach(other).has(group)) : NOBODY
    known.set(group, circle)
    return circle
  }
}

const NOBODY: readonly string[] = []
