import { hostname } from 'node:os'
import type { Settings } from '../config/schema.js'
import { createConsulRegistry } from './consul.js'
import { createEtcdRegistry } from './etcd.js'
import type { RegistryName } from './names.js'
import type { Registry, RegistryContext } from './registry.js'

export type RegistryFactory = (settings: Settings, context: RegistryContext) => Registry

/** Every registry, by the name that `registries` takes. */
export const registryFactories: Readonly<Record<RegistryName, RegistryFactory>> = {
  consul: (settings, context) =>
    createConsulRegistry(
      {
        ...settings.consul,
        announcer: settings.announce.name || hostname(),
        hostAddress: settings.announce.address,
        lookMs: settings.pollInterval,
        stateDir: settings.stateDir,
      },
      context,
    ),
  etcd: createEtcdRegistry,
}

export const createRegistries = (settings: Settings, context: RegistryContext): Registry[] =>
  settings.registries.map((name) => registryFactories[name as RegistryName](settings, context))
