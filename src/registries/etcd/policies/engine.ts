import { differenceOf } from '../../../lib/difference.js'
import { printable } from '../../../lib/printable.js'
import { type Instance, keyOf } from '../../../model/instance.js'
import type { WantedNode } from '../registrar.js'
import { createContributions } from './contributions.js'
import { mistakeIn } from './nodes.js'
import type { NodeText, Outcome } from './policy.js'
import type { Service } from './services.js'

/** What all policies together want, of all containers. */
export interface Wants {
  /** The same map all the time. */
  readonly nodes: ReadonlyMap<string, WantedNode>
  /** Those that may be others than the last time. */
  readonly touched: ReadonlySet<string>
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

/** A service at work: what it was asked of, and what it said. */
interface Work {
  service: Service
  instances: readonly Instance[]
  readonly said: Map<string, readonly NodeText[]>
}

export function createEngine({ reserved }: { readonly reserved: string }): Engine {
  const works = new Map<string, Work>()
  const contributions = createContributions()
  /** By who said it: one line for whoever runs this. */
  const troubles = new Map<string, string>()

  async function ask(service: Service, instances: readonly Instance[], signal: AbortSignal): Promise<void> {
    const work = works.get(service.name) ?? { service, instances: [], said: new Map() }
    works.set(service.name, work)
    // One whose configuration has changed is asked everything anew; what it cannot say then stays as it was.
    const before = work.service === service ? work.instances : []
    const { come } = differenceOf(before, instances)
    const outcomes = come.length === 0 ? [] : await service.policy.evaluate(come, service.config, signal)
    signal.throwIfAborted()
    for (const [index, instance] of come.entries()) take(work, service, instance, outcomes[index])
    forget(work, differenceOf(work.instances, instances).gone, come)
    work.service = service
    work.instances = instances
  }

  function take({ said }: Work, service: Service, instance: Instance, outcome: Outcome | undefined): void {
    const key = keyOf(instance)
    const sayer = sayerOf(service, key)
    const { nodes, trouble } = judge(service, instance, outcome)
    if (trouble === undefined) troubles.delete(sayer)
    else troubles.set(sayer, trouble)
    const now = nodes ?? said.get(key) ?? []
    said.set(key, now)
    contributions.put(sayer, { container: instance.name, group: key, nodes: now })
  }

  function judge(service: Service, instance: Instance, outcome: Outcome | undefined) {
    const prefix = service.policy.prefix(service.config)
    const nodes = outcome && 'nodes' in outcome ? outcome.nodes : []
    const mistake = nodes.map(([path]) => mistakeIn(path, { prefix, reserved })).find(Boolean)
    const reason = mistake ?? (outcome && 'error' in outcome ? outcome.error : undefined)
    if (outcome && reason === undefined) return { nodes, trouble: 'warning' in outcome ? outcome.warning : undefined }
    const who = `policy ${service.name}: container ${printable(instance.name, 100)}`
    return { trouble: `${who}: ${printable(reason ?? 'it gave no answer', 300)}; its nodes stay as they were` }
  }

  /** What has changed has come anew. */
  function forget(work: Work, gone: readonly Instance[], come: readonly Instance[]): void {
    const present = new Set(come.map(keyOf))
    for (const key of gone.map(keyOf)) {
      if (present.has(key)) continue
      work.said.delete(key)
      silence(work.service, key)
    }
  }

  function silence(service: Service, key: string): void {
    contributions.put(sayerOf(service, key), undefined)
    troubles.delete(sayerOf(service, key))
  }

  return {
    async run(instances, services, signal) {
      const names = new Set(services.map(({ name }) => name))
      for (const [name, { service, said }] of works) {
        if (names.has(name)) continue
        for (const key of said.keys()) silence(service, key)
        works.delete(name)
      }
      await Promise.all(services.map((service) => ask(service, instances, signal)))
      return {
        nodes: contributions.nodes,
        touched: contributions.takeTouched(),
        troubles: [...troubles.values(), ...contributions.troubles()],
      }
    },
  }
}

const sayerOf = ({ name }: Service, key: string): string => `${name} ${key}`
