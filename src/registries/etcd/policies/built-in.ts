import { messageOf } from '../../../lib/errors.js'
import type { Instance } from '../../../model/instance.js'
import type { Config, ConfigSpec, NodeText, Outcome, Policy } from './policy.js'

/** A policy of our own: it needs no thread to be kept in bounds. */
export interface ContainerNodes {
  readonly name: string
  readonly config?: ConfigSpec
  prefix(config: Config): string
  nodes(instance: Instance, config: Config): readonly NodeText[]
  /** Why nobody will have anything from these nodes. */
  trouble?(instance: Instance): string | undefined
}

export function builtIn({ name, config, prefix, nodes, trouble }: ContainerNodes): Policy {
  const outcome = (instance: Instance, given: Config): Outcome => {
    try {
      const warning = trouble?.(instance)
      return { nodes: nodes(instance, given), ...(warning !== undefined && { warning }) }
    } catch (error) {
      return { error: messageOf(error) }
    }
  }
  return {
    ...{ name, prefix, ...(config && { config }) },
    evaluate: async (instances, given) => instances.map((instance) => outcome(instance, given)),
  }
}
