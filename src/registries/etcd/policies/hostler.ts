import { encodeInstance, reachableFromElsewhere } from '../../../model/announced.js'
import type { Instance } from '../../../model/instance.js'
import type { ContainerNodes } from './built-in.js'

export interface HostlerPolicySettings {
  /** `/hostler/instances/NAME`: where this process announces. */
  readonly prefix: string
  /** Where other hosts reach this one; empty: not. */
  readonly address: string
  readonly isRelevant: (labels: Readonly<Record<string, string>>) => boolean
}

/** `hostler`: the instance itself, for the `etcd` source of Hostlers on other hosts. */
export const hostler = ({ prefix, address, isRelevant }: HostlerPolicySettings): ContainerNodes => ({
  name: 'hostler',
  prefix: () => prefix,
  nodes(instance: Instance) {
    if (!isRelevant(instance.labels)) return []
    const reachable = reachableFromElsewhere(instance, address)
    const path = `${prefix}/${encodeURIComponent(instance.source)}/${encodeURIComponent(instance.id)}`
    return [[path, encodeInstance(reachable.instance)]]
  },
  trouble: (instance) => (isRelevant(instance.labels) ? reachableFromElsewhere(instance, address).trouble : undefined),
})
