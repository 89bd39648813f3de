/** The names that `sources` takes; `index.ts` holds a factory for each. */
export const SOURCE_NAMES = ['docker', 'rancher-metadata', 'rancher-api', 'etcd', 'consul', 'file'] as const
export type SourceName = (typeof SOURCE_NAMES)[number]
