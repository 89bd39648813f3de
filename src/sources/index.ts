import { announcerOf } from '../config/announce.js'
import type { Settings } from '../config/schema.js'
import { takesPart } from '../model/labels.js'
import { hasRanconLabel } from '../model/rancon.js'
import type { SourceName } from './names.js'
import type { Source, SourceContext } from './source.js'

export type SourceFactory = (settings: Settings, context: SourceContext) => Promise<Source[]>

/** Every source, by the name that `sources` takes. One that is not asked for is not loaded: a start takes half the time. */
export const sourceFactories: Readonly<Record<SourceName, SourceFactory>> = {
  async docker(settings, context) {
    const { createDockerSources } = await import('./docker.js')
    const { docker, announce } = settings
    // Other hosts are told the same address of published ports as our own proxy.
    const address = docker.address || announce.address
    const keepsInspect = hasPolicies(settings)
    return createDockerSources(
      { ...settings, docker: { ...docker, address }, keepsInspect, isRelevant: relevance(settings) },
      context,
    )
  },
  async 'rancher-metadata'(settings, context) {
    const { createRancherMetadataSource } = await import('./rancher-metadata.js')
    const { metadata, labelPrefix, pollInterval } = settings
    return [
      createRancherMetadataSource({ ...metadata, labelPrefix, pollInterval, isRelevant: relevance(settings) }, context),
    ]
  },
  async 'rancher-api'(settings, context) {
    const { createRancherApiSource } = await import('./rancher-api.js')
    return [createRancherApiSource({ ...settings.rancher, isRelevant: relevance(settings) }, context)]
  },
  async etcd(settings, context) {
    const { createEtcdSource } = await import('./etcd.js')
    return [createEtcdSource(settings, context)]
  },
  async consul({ consul, labelPrefix, registries, announce }, context) {
    const { createConsulSource } = await import('./consul.js')
    const own = registries.includes('consul') ? announcerOf({ announce }) : undefined
    return [createConsulSource({ ...consul, labelPrefix, own, lease: consul.lease || DEFAULT_LEASE_MS }, context)]
  },
  async file({ file }, context) {
    const { createFileSource } = await import('./file.js')
    return [createFileSource(file, context)]
  },
}

/** Who announces without a lease may well read what others announce with one. */
const DEFAULT_LEASE_MS = 30_000

/** Policies beyond the one that announces what takes part are asked of every container, and shown all of it. */
const hasPolicies = ({ registries, policies }: Settings): boolean =>
  registries.includes('etcd') && policies.some((name) => name !== 'hostler')

/** What a source may drop at once, so that memory stays with what takes part. */
const relevance =
  (settings: Settings) =>
  (labels: Readonly<Record<string, string>>): boolean =>
    hasPolicies(settings) ||
    takesPart(labels, settings) ||
    (settings.registries.includes('consul') && hasRanconLabel(labels))

export async function createSources(settings: Settings, context: SourceContext): Promise<Source[]> {
  const found = settings.sources.map((name) => sourceFactories[name as SourceName](settings, context))
  return (await Promise.all(found)).flat()
}
