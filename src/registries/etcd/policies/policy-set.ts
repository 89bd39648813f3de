import type { Clock } from '../../../lib/clock.js'
import type { EtcdClient } from '../../../lib/etcd/client.js'
import type { ContainerNodes } from './built-in.js'
import { configsInEtcd, configsInFolder, type EtcdConfigs, type FoundConfigs } from './configs.js'
import { createFilePolicy, type FilePolicyOptions } from './file-policy.js'
import { createMember, type Loaded } from './member.js'
import type { Policy } from './policy.js'
import type { Retries } from './retries.js'
import { createRoll } from './roll.js'
import type { Service } from './services.js'
import { watchPaths } from './watching.js'

/** The policies of the settings, with all that they are told. */
export interface PolicySet {
  /** What is at work now. @throws when the signal fires */
  services(signal: AbortSignal): Promise<AtWork>
  /** Follows their files and configurations until aborted; `changed` when `services` says something else. */
  run(changed: () => void, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

export interface AtWork {
  readonly services: readonly Service[]
  readonly troubles: readonly string[]
  /** False: of some policy it is not known yet. */
  readonly isWhole: boolean
}

export interface PolicySetInputs {
  /** Names of built-in ones, files, and globs of files. */
  readonly policies: readonly string[]
  readonly builtIns: readonly ContainerNodes[]
  /** The folder of configurations; empty: none. */
  readonly folder: string
  readonly client: EtcdClient
  readonly clock: Clock
  readonly retries: Retries
  readonly open?: (options: FilePolicyOptions) => Promise<Policy>
}

/** @throws HostlerError `CONFIG` for a policy that is nowhere */
export function createPolicySet(inputs: PolicySetInputs): PolicySet {
  const { policies, builtIns, folder, client, clock, retries, open = createFilePolicy } = inputs
  const roll = createRoll({ policies, builtIns, enlist: (wanted) => createMember(wanted, { open, retries }) })
  const inEtcd = new Map<string, EtcdConfigs>()
  const following = new Set<Promise<void>>()
  let follow: (configs: EtcdConfigs) => void = () => undefined

  function configsBelow(path: string): EtcdConfigs {
    const known = inEtcd.get(path)
    if (known) return known
    const configs = configsInEtcd(path, client, clock)
    inEtcd.set(path, configs)
    follow(configs)
    return configs
  }

  /** Those in the folder come first, and count where etcd has others of the same name. */
  async function configsOf({ name, config }: Policy, signal: AbortSignal): Promise<FoundConfigs> {
    if (!config) return { texts: [], isComplete: true }
    const own = configsInFolder(folder, name)
    // What etcd has must not take the place of what cannot be read just now.
    if (config.etcdPath === undefined || !own.isComplete) return own
    const theirs = await configsBelow(config.etcdPath).read(signal)
    return { ...theirs, texts: [...own.texts, ...theirs.texts] }
  }

  async function read({ policy, services }: Loaded, signal: AbortSignal) {
    const found = await configsOf(policy, signal)
    const { troubles, ...known } = services.read(found)
    const { trouble } = found
    const unread = `policy ${policy.name}: not all of its configurations are known: ${trouble}; what is known stays`
    return { ...known, troubles: trouble === undefined ? troubles : [unread, ...troubles] }
  }

  return {
    async services(signal) {
      roll.complete()
      await Promise.all(roll.members.map((member) => member.load()))
      const loaded = roll.members.flatMap(({ current }) => current() ?? [])
      const parts = await Promise.all(loaded.map((one) => read(one, signal)))
      const failures = roll.members.flatMap(({ trouble }) => trouble() ?? [])
      return {
        services: parts.flatMap(({ services }) => services),
        troubles: [...roll.troubles(), ...failures, ...parts.flatMap(({ troubles }) => troubles)],
        isWhole: roll.isWhole() && parts.length === roll.members.length && parts.every(({ isKnown }) => isKnown),
      }
    },
    async run(changed, signal) {
      follow = (configs) => following.add(configs.follow(changed, signal))
      for (const configs of inEtcd.values()) follow(configs)
      const configFiles = { paths: folder === '' ? [] : [folder], depth: 1 }
      await Promise.all([watchPaths(configFiles, () => changed(), signal), roll.run(changed, signal)])
      await Promise.all(following)
    },
    async close() {
      await Promise.all(roll.members.map((member) => member.close()))
    },
  }
}
