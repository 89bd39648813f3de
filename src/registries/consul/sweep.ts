import type { Clock } from '../../lib/clock.js'
import { messageOf } from '../../lib/errors.js'
import type { AddressTemplate } from './address.js'
import type { Agents } from './agents.js'
import type { LeftoverNode } from './leftovers.js'

/**
 * Agents to which an earlier process has announced something and this one nothing: the catalog is asked for them, until it has
 * told everything, for those that this process does announce to are known from then on.
 */
export interface Sweep {
  /** @returns whether there are more agents now than before; at once where it is not time to ask */
  look(signal: AbortSignal): Promise<boolean>
  /** One line each: what may be left. */
  troubles(): readonly string[]
}

export interface SweepInputs {
  readonly template: AddressTemplate
  readonly announcer: string
  readonly agents: Agents
  readonly clock: Clock
}

const AGAIN_MS = 60_000

export function createSweep({ template, announcer, agents, clock }: SweepInputs): Sweep {
  let isOver = !template.isByHost
  let notBefore = 0
  let troubles: readonly string[] = []

  const urlOf = ({ address }: LeftoverNode): string =>
    template.for(
      new Map([
        ['announcer', announcer],
        ['host', address],
      ]),
    )

  /** Nodes that are reached by another address than the catalog has for them are known by their names. */
  async function strangers(nodes: readonly LeftoverNode[], signal: AbortSignal): Promise<LeftoverNode[]> {
    const others = nodes.filter((node) => !agents.has(urlOf(node)))
    if (others.length === 0) return []
    const known = agents.all().filter((post) => post.isWell())
    const names = new Set(await Promise.all(known.map(({ agent }) => agent.node(signal).catch(() => undefined))))
    return others.filter(({ name }) => !names.has(name))
  }

  async function ask(signal: AbortSignal): Promise<boolean> {
    const some = agents.all().find((post) => post.isWell())
    if (!some) return false
    notBefore = clock.elapsed() + AGAIN_MS
    const left = await some.agent.leftovers(signal)
    const found = await strangers(left.nodes, signal)
    for (const node of found) agents.add(urlOf(node))
    troubles = left.troubles
    isOver = troubles.length === 0
    return found.length > 0
  }

  return {
    async look(signal) {
      if (isOver || clock.elapsed() < notBefore) return false
      try {
        return await ask(signal)
      } catch (error) {
        signal.throwIfAborted()
        troubles = [`what earlier runs have left in Consul cannot be looked for: ${messageOf(error)}`]
        return false
      }
    },
    troubles: () => troubles,
  }
}
