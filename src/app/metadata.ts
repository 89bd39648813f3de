import type { Settings } from '../config/schema.js'
import type { MetadataValues } from '../proxies/proxy.js'

/** Certificates and the like from Rancher's metadata, where that is a source. */
export async function metadataFor({ sources, metadata }: Settings): Promise<{ metadata?: MetadataValues }> {
  if (!sources.includes('rancher-metadata') || metadata.disabled) return {}
  const { createMetadataLookups } = await import('../sources/rancher-metadata/lookups.js')
  return { metadata: createMetadataLookups(metadata) }
}
