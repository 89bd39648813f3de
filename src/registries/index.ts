import { announcerOf } from '../config/announce.js'
import type { Settings } from '../config/schema.js'
import type { RegistryName } from './names.js'
import type { Registry, RegistryContext } from './registry.js'

export type RegistryFactory = (settings: Settings, context: RegistryContext) => Promise<Registry>

/** Every registry, by the name that `registries` takes. One that is not asked for is not loaded. */
export const registryFactories: Readonly<Record<RegistryName, RegistryFactory>> = {
  async consul({ consul, announce, pollInterval, stateDir }, context) {
    const { createConsulRegistry } = await import('./consul.js')
    const announcer = announcerOf({ announce })
    const ours = { announcer, hostAddress: announce.address, lookMs: pollInterval, stateDir }
    return createConsulRegistry({ ...consul, ...ours }, context)
  },
  async etcd(settings, context) {
    const { createEtcdRegistry } = await import('./etcd.js')
    return createEtcdRegistry(settings, context)
  },
}

export const createRegistries = (settings: Settings, context: RegistryContext): Promise<Registry[]> =>
  Promise.all(settings.registries.map((name) => registryFactories[name as RegistryName](settings, context)))
