import { isIP } from 'node:net'
import { HostlerError } from '../../lib/errors.js'
import { toPem } from './certificate.js'
import { baseUrlOf, type MetadataAddress, withMetadataClient } from './client.js'

/** Single values that predecessor 1 took from metadata. Each is undefined where metadata has none (404 or empty). */
export interface MetadataLookups {
  /** The address of the host that we run on: an IP address or a DNS name. Throws a HostlerError for anything else. */
  agentIp(signal: AbortSignal): Promise<string | undefined>
  /**
   * `ssl_cert` and `ssl_key` of our own service's metadata as one PEM text, checked to belong together. Throws a
   * HostlerError that names the problem and never shows the key.
   */
  certificate(signal: AbortSignal, options: { base64: boolean }): Promise<string | undefined>
}

const MAX_BYTES = 1024 * 1024
const SERVICE_METADATA = 'self/service/metadata'

export function createMetadataLookups(address: MetadataAddress): MetadataLookups {
  baseUrlOf(address)

  async function read(signal: AbortSignal, ...paths: string[]): Promise<(string | undefined)[]> {
    return withMetadataClient({ maxBytes: MAX_BYTES, ...address }, async (client) => {
      const words = await Promise.all(paths.map((path) => client.readWord(path, signal)))
      return words.map((word) => word?.trim() || undefined)
    })
  }

  return {
    async agentIp(signal) {
      const [agentIp] = await read(signal, 'self/host/agent_ip')
      if (agentIp === undefined || isIP(agentIp) > 0 || isDnsName(agentIp)) return agentIp
      const remedy = 'set SYSLOG_HOST instead'
      throw new HostlerError(
        'metadata-agent-ip',
        `self/host/agent_ip is neither an IP address nor a host name; ${remedy}`,
      )
    },

    async certificate(signal, options) {
      const [certificate, key] = await read(signal, `${SERVICE_METADATA}/ssl_cert`, `${SERVICE_METADATA}/ssl_key`)
      if (certificate !== undefined && key !== undefined) return toPem(certificate, key, options)
      if (certificate === undefined && key === undefined) return undefined
      const [present, absent] = certificate === undefined ? ['ssl_key', 'ssl_cert'] : ['ssl_cert', 'ssl_key']
      throw new HostlerError(
        'metadata-certificate',
        `${SERVICE_METADATA} has ${present} but no ${absent}; it takes both`,
      )
    },
  }
}

const isDnsName = (text: string) =>
  text.length <= 253 &&
  !/(?:^|\.)\d+$/.test(text) &&
  text.split('.').every((part) => /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(part))
