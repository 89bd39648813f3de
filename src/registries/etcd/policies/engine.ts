import { type Difference, differenceOf } from '../../../lib/difference.js'
import { printable } from '../../../lib/printable.js'
import { type Instance, keyOf } from '../../../model/instance.js'
import type { WantedNode } from '../registrar.js'
import { createContributions } from './contributions.js'
import { mistakeIn } from './nodes.js'
import type { NodeText, Outcome } from './policy.js'
import type { Retries } from './retries.js'
import type { Service } from './services.js'

/** What all policies together want, of all containers. */
export interface Wants {
  /** The same map all the time. */
  readonly nodes: ReadonlyMap<string, WantedNode>
  /** Those that may be others than the last time. */
  readonly touched: ReadonlySet<string>
  readonly troubles: readonly string[]
  /** False while there is a container of which some policy has not been able to say anything yet. */
  readonly isWhole: boolean
}

/**
 * Runs policies over containers, each only when the container or its configuration has changed, or when it is time to try
 * again what failed. What a policy cannot say anything of for once keeps the nodes that it had.
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
  /** Of which it could say nothing when it was last asked, or was not asked. */
  readonly open: Map<string, 'failed' | 'unasked'>
}

type Judged =
  | { readonly nodes: readonly NodeText[]; readonly warning: string | undefined }
  | { readonly trouble: string }
  | { readonly unasked: true }

export interface EngineInputs {
  /** Where no policy may write. */
  readonly reserved: string
  readonly retries: Retries
}

export function createEngine({ reserved, retries }: EngineInputs): Engine {
  const works = new Map<string, Work>()
  const contributions = createContributions()
  /** By who said it: one line for whoever runs this. */
  const troubles = new Map<string, string>()

  async function ask(service: Service, instances: readonly Instance[], signal: AbortSignal): Promise<void> {
    const work = works.get(service.name) ?? { service, instances: [], said: new Map(), open: new Map() }
    works.set(service.name, work)
    const come = service.isHeld ? [] : toAsk(work, service, instances)
    const outcomes = come.length === 0 ? [] : await service.policy.evaluate(come, service.config, signal)
    signal.throwIfAborted()
    for (const [index, instance] of come.entries()) take(work, service, instance, outcomes[index])
    forget(work, differenceOf(work.instances, instances))
    work.service = service
    work.instances = instances
  }

  /** Those that get stuck again and again are asked last: they take the time of others. */
  function toAsk(work: Work, service: Service, instances: readonly Instance[]): readonly Instance[] {
    // One whose configuration has changed is asked everything anew; what it cannot say then stays as it was.
    const { come } = differenceOf(work.service === service ? work.instances : [], instances)
    if (work.open.size === 0) return come
    const isDue = (key: string) => work.open.has(key) && retries.isDue(sayerOf(service, key))
    const fresh = new Set(come)
    return [...come, ...instances.filter((instance) => !fresh.has(instance) && isDue(keyOf(instance)))]
  }

  function take(work: Work, service: Service, instance: Instance, outcome: Outcome | undefined): void {
    const key = keyOf(instance)
    const sayer = sayerOf(service, key)
    const judged = judge(service, instance, outcome)
    if ('unasked' in judged) {
      work.open.set(key, 'unasked')
      retries.postponed(sayer)
    } else if ('trouble' in judged) {
      work.open.set(key, 'failed')
      retries.failed(sayer)
      troubles.set(sayer, judged.trouble)
    } else {
      const { nodes, warning } = judged
      work.open.delete(key)
      retries.settled(sayer)
      work.said.set(key, nodes)
      if (warning === undefined) troubles.delete(sayer)
      else troubles.set(sayer, warning)
      contributions.put(sayer, { container: instance.name, group: key, nodes })
    }
  }

  function judge(service: Service, instance: Instance, outcome: Outcome | undefined): Judged {
    if (outcome && 'unasked' in outcome) return outcome
    const prefix = service.policy.prefix(service.config)
    const nodes = outcome && 'nodes' in outcome ? outcome.nodes : []
    const mistake = nodes.map((node) => mistakeIn(node, { prefix, reserved })).find(Boolean)
    const reason = mistake ?? (outcome && 'error' in outcome ? outcome.error : undefined)
    if (outcome && reason === undefined) return { nodes, warning: 'warning' in outcome ? outcome.warning : undefined }
    const who = `policy ${whole(service)}: container ${printable(instance.name, 100)}`
    return { trouble: `${who}: ${printable(reason ?? 'it gave no answer', 300)}; its nodes stay as they were` }
  }

  /** What has changed is there under the same key. */
  function forget(work: Work, { gone, come }: Difference<Instance>): void {
    const present = new Set(come.map(keyOf))
    for (const key of gone.map(keyOf)) if (!present.has(key)) silence(work, key)
  }

  function silence({ service, said, open }: Work, key: string): void {
    const sayer = sayerOf(service, key)
    said.delete(key)
    open.delete(key)
    contributions.put(sayer, undefined)
    troubles.delete(sayer)
    retries.settled(sayer)
  }

  return {
    async run(instances, services, signal) {
      const names = new Set(services.map(({ name }) => name))
      for (const [name, work] of works) {
        if (names.has(name)) continue
        for (const key of [...work.said.keys(), ...work.open.keys()]) silence(work, key)
        works.delete(name)
      }
      await Promise.all(services.map((service) => ask(service, instances, signal)))
      const all = [...works.values()]
      return {
        nodes: contributions.nodes,
        touched: contributions.takeTouched(),
        troubles: [...troubles.values(), ...all.flatMap(waitingIn), ...contributions.troubles()],
        isWhole: all.every(
          ({ service, said, open }) => !service.isHeld && [...open.keys()].every((key) => said.has(key)),
        ),
      }
    },
  }
}

const sayerOf = ({ name }: Service, key: string): string => `${name} ${key}`

/** With the files that are to be looked at. */
function whole({ name, policy, origin }: Service): string {
  const files = [policy.origin, origin].flatMap((file) => (file === undefined ? [] : printable(file, 300)))
  return files.length === 0 ? name : `${name} (${files.join(', ')})`
}

/** One line for all of them: whoever waits has done nothing. */
const waitingIn = ({ service, open }: Work): string[] =>
  [...open.values()].includes('unasked')
    ? [
        `policy ${whole(service)}: not every container was asked yet, for others got stuck; their nodes stay as they were`,
      ]
    : []
