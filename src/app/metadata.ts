import type { Settings } from '../config/schema.js'
import type { MetadataValues } from '../proxies/proxy.js'
import { createMetadataLookups } from '../sources/rancher-metadata/lookups.js'

/** Certificates and the like from Rancher's metadata, where that is a source. */
export const metadataFor = ({ sources, metadata }: Settings): { metadata?: MetadataValues } =>
  sources.includes('rancher-metadata') && !metadata.disabled ? { metadata: createMetadataLookups(metadata) } : {}
