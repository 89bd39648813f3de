import type { Settings } from '../config/schema.js'
import type { Registry, RegistryContext } from './registry.js'

export type RegistryFactory = (settings: Settings, context: RegistryContext) => Registry

/** Every registry, by the name that `registries` takes. */
export const registryFactories: Readonly<Record<string, RegistryFactory>> = {}

export const createRegistries = (settings: Settings, context: RegistryContext): Registry[] =>
  settings.registries.flatMap((name) => registryFactories[name]?.(settings, context) ?? [])
