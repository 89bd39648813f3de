import { compareText } from '../../../lib/compare.js'
import { printable } from '../../../lib/printable.js'
import { type Instance, keyOf } from '../../../model/instance.js'
import type { WantedNode } from '../registrar.js'
import { mistakeIn } from './nodes.js'
import type { NodeText, Outcome } from './policy.js'
import type { Service } from './services.js'

/** What all policies together want, of all containers. */
export interface Wants {
  readonly nodes: ReadonlyMap<string, WantedNode>
  readonly troubles: readonly string[]
}

/**
 * Runs policies over containers, each only when the container or its configuration has changed. What a policy cannot say
 * anything of for once keeps the nodes that it had.
 */
export interface Engine {
  /** One call at a time. @throws when the signal fires */
  run(instances: readonly Instance[], services: readonly Service[], signal: AbortSignal): Promise<Wants>
}

/** What a service last said of a container. */
interface Said {
  readonly instance: Instance
  readonly nodes: readonly NodeText[]
  /** One line for whoever runs this. */
  readonly error?: string
}

export function createEngine({ reserved }: { readonly reserved: string }): Engine {
  const known = new Map<Service, Map<string, Said>>()

  async function ask(service: Service, instances: readonly Instance[], signal: AbortSignal): Promise<boolean> {
    const said = known.get(service) ?? successorOf(service)
    known.set(service, said)
    const fresh = instances.filter((instance) => said.get(keyOf(instance))?.instance !== instance)
    const before = said.size
    if (said.size + fresh.length > instances.length) forgetGone(said, instances)
    if (fresh.length === 0) return said.size !== before
    const outcomes = await service.policy.evaluate(fresh, service.config, signal)
    signal.throwIfAborted()
    for (const [index, instance] of fresh.entries()) {
      const key = keyOf(instance)
      said.set(key, saidOf(service, instance, outcomes[index], said.get(key)))
    }
    return true
  }

  /** One whose configuration has changed is asked everything anew; until it answers, what was said before counts. */
  function successorOf({ name }: Service): Map<string, Said> {
    for (const [service, said] of known) {
      if (service.name !== name) continue
      known.delete(service)
      return new Map([...said].map(([key, one]) => [key, { ...one, instance: UNKNOWN }]))
    }
    return new Map()
  }

  function saidOf(service: Service, instance: Instance, outcome: Outcome | undefined, before: Said | undefined): Said {
    const prefix = service.policy.prefix(service.config)
    const nodes = outcome && 'nodes' in outcome ? outcome.nodes : []
    const mistake = nodes.map(([path]) => mistakeIn(path, { prefix, reserved })).find(Boolean)
    const reason = mistake ?? (outcome && 'error' in outcome ? outcome.error : undefined)
    if (reason === undefined && outcome)
      return { instance, nodes, ...('warning' in outcome && { error: outcome.warning }) }
    const error = `policy ${service.name}: container ${printable(instance.name, 100)}: ${printable(reason ?? 'it gave no answer', 300)}; its nodes stay as they were`
    return { instance, nodes: before?.nodes ?? [], error }
  }

  let last: Wants | undefined
  return {
    async run(instances, services, signal) {
      let isNew = last === undefined
      for (const service of known.keys()) {
        if (services.some(({ name }) => name === service.name)) continue
        known.delete(service)
        isNew = true
      }
      const news = await Promise.all(services.map((service) => ask(service, instances, signal)))
      isNew ||= news.includes(true)
      if (isNew || !last) last = gather(known)
      return last
    },
  }
}

/** Of no source: whatever comes is another one. */
const UNKNOWN = {} as Instance

function forgetGone(said: Map<string, Said>, instances: readonly Instance[]): void {
  const present = new Set(instances.map(keyOf))
  for (const key of said.keys()) if (!present.has(key)) said.delete(key)
}

/** Of several values for one node the smallest counts, §1 and §2. */
function gather(known: ReadonlyMap<Service, ReadonlyMap<string, Said>>): Wants {
  const nodes = new Map<string, WantedNode & { readonly container: string }>()
  const troubles: string[] = []
  for (const [, all] of known) {
    for (const [key, { instance, nodes: theirs, error }] of all) {
      if (error !== undefined) troubles.push(error)
      for (const [path, value] of theirs) {
        const other = nodes.get(path)
        const one = { value, group: key, container: instance.name ?? key }
        if (!other || compareText(value, other.value) < 0) nodes.set(path, one)
        if (other && other.value !== value) troubles.push(disagreement(path, other, one))
      }
    }
  }
  return { nodes, troubles }
}

interface Saying {
  readonly container: string
  readonly value: string
}

function disagreement(path: string, ...sayings: Saying[]): string {
  const [smaller, larger] = sayings.sort((a, b) => compareText(a.value, b.value)) as [Saying, Saying]
  const who = ({ container, value }: Saying) =>
    `${printable(container, 100)} says ${JSON.stringify(printable(value, 80))}`
  return `${printable(path, 200)}: ${who(smaller)}, ${who(larger)}; the smallest value is in force: make them agree`
}
