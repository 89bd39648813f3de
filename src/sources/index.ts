import type { Settings } from '../config/schema.js'
import { takesPart } from '../model/labels.js'
import { hasRanconLabel } from '../model/rancon.js'
import { createConsulSource } from './consul.js'
import { createDockerSources } from './docker.js'
import { createEtcdSource } from './etcd.js'
import { createFileSource } from './file.js'
import type { SourceName } from './names.js'
import { createRancherApiSource } from './rancher-api.js'
import { createRancherMetadataSource } from './rancher-metadata.js'
import type { Source, SourceContext } from './source.js'

export type SourceFactory = (settings: Settings, context: SourceContext) => Source[]

/** Every source, by the name that `sources` takes. */
export const sourceFactories: Readonly<Record<SourceName, SourceFactory>> = {
  docker(settings, context) {
    const { docker, announce } = settings
    // Other hosts are told the same address of published ports as our own proxy.
    const address = docker.address || announce.address
    const keepsInspect = hasPolicies(settings)
    return createDockerSources(
      { ...settings, docker: { ...docker, address }, keepsInspect, isRelevant: relevance(settings) },
      context,
    )
  },
  'rancher-metadata': (settings, context) => {
    const { metadata, labelPrefix, pollInterval } = settings
    return [
      createRancherMetadataSource({ ...metadata, labelPrefix, pollInterval, isRelevant: relevance(settings) }, context),
    ]
  },
  'rancher-api': (settings, context) => [
    createRancherApiSource({ ...settings.rancher, isRelevant: relevance(settings) }, context),
  ],
  etcd: (settings, context) => [createEtcdSource(settings, context)],
  consul: ({ consul, labelPrefix }, context) => [
    createConsulSource({ ...consul, labelPrefix, lease: consul.lease || DEFAULT_LEASE_MS }, context),
  ],
  file: ({ file }, context) => [createFileSource(file, context)],
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

export const createSources = (settings: Settings, context: SourceContext): Source[] =>
  settings.sources.flatMap((name) => sourceFactories[name as SourceName](settings, context))
