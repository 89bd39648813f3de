import { messageOf } from '../../lib/errors.js'
import { printable } from '../../lib/printable.js'
import { type Instance, keyOf } from '../../model/instance.js'
import type { AnnouncedFacts } from '../registry.js'
import { type Asked, type Entry, maintenanceOf } from './entries.js'
import type { AskedEntry } from './writer.js'

/** What the facts ask for, at every agent. */
export interface Wish {
  /** By address of the agent, and by id. */
  readonly byAgent: ReadonlyMap<string, ReadonlyMap<string, AskedEntry>>
  readonly troubles: readonly string[]
  /** Not all that this instance asks for is known: what is announced of it already stays. */
  readonly isKept: (instance: string) => boolean
  /** What is missing here shall go. */
  readonly isWhole: boolean
  /** Look at what is there, rather than remember it. */
  readonly afresh: boolean
}

export type Ask = (instance: Instance) => Asked

/** Asked again only when the instance is another object. */
export function remembered(ask: Ask): Ask {
  const known = new WeakMap<Instance, Asked>()
  return (instance) => {
    const found = known.get(instance) ?? ask(instance)
    known.set(instance, found)
    return found
  }
}

/** @param reach throws for an agent that can have no such address */
export function gather(facts: AnnouncedFacts, ask: Ask, reach: (url: string) => void): Omit<Wish, 'afresh'> {
  const byAgent = new Map<string, Map<string, AskedEntry>>()
  const troubles: string[] = []
  const partial = new Set<string>()
  for (const instance of facts.instances) {
    const { entries, troubles: own, isPartial } = ask(instance)
    troubles.push(...own)
    if (isPartial) partial.add(keyOf(instance).slice(0, 255))
    const maintenance = maintenanceOf(instance, facts.draining.has(keyOf(instance)))
    for (const entry of entries) {
      const trouble = unreachable(entry, reach) ?? add(byAgent, entry, maintenance)
      if (trouble === undefined) continue
      troubles.push(`container ${printable(instance.name, 120)}: ${trouble}`)
      partial.add(keyOf(instance).slice(0, 255))
    }
  }
  return { byAgent, troubles, isKept: (instance) => partial.has(instance), isWhole: facts.isWhole }
}

function unreachable({ url }: Entry, reach: (url: string) => void): string | undefined {
  try {
    reach(url)
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

/** @returns what is wrong: two containers cannot be one entry, unless they are behind one and the same endpoint */
function add(byAgent: Map<string, Map<string, AskedEntry>>, entry: Entry, maintenance?: string): string | undefined {
  const here = byAgent.get(entry.url) ?? new Map<string, AskedEntry>()
  byAgent.set(entry.url, here)
  const { ID, Name, Address, Port } = entry.service
  const other = here.get(ID)?.entry
  if (!other) {
    here.set(ID, { entry, ...(maintenance !== undefined && { maintenance }) })
    return undefined
  }
  const { service } = other
  if (service.Name === Name && service.Address === Address && service.Port === Port) return undefined
  return `its id ${ID} is that of container ${printable(other.container, 120)} too; set rancon.name, or an id schema with %HOST% and %PORT%`
}

export const isSame = (a: AnnouncedFacts | undefined, b: AnnouncedFacts): boolean =>
  a !== undefined &&
  a.isWhole === b.isWhole &&
  a.instances.length === b.instances.length &&
  a.instances.every((instance, at) => instance === b.instances[at]) &&
  a.draining.size === b.draining.size &&
  [...a.draining].every((key) => b.draining.has(key))
