/** The names that `registries` takes; `index.ts` holds a factory for each. */
export const REGISTRY_NAMES = ['etcd', 'consul'] as const
export type RegistryName = (typeof REGISTRY_NAMES)[number]
