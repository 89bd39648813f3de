import { isIP } from 'node:net'
import { type Fields, fields, string } from '../../../lib/docker/fields.js'
import type { Instance } from '../../../model/instance.js'
import type { ContainerNodes } from './built-in.js'
import { inspectOf } from './inspect.js'
import type { Config, NodeText } from './policy.js'

/** `skydns`: a name for every running container's address, where SkyDNS and CoreDNS's etcd plugin look for it. */
export const skydns = (settings: { readonly domain: string; readonly network: string }): ContainerNodes => ({
  name: 'skydns',
  config: {
    properties: {
      domain: { type: 'string', minLength: 1, pattern: '^[A-Za-z0-9_.-]+$', default: settings.domain },
      network: { type: 'string', default: settings.network },
    },
    additionalProperties: false,
  },
  prefix: ({ domain }) => prefixOf(String(domain)),
  nodes: (instance, config) => nodesOf(instance, config),
})

/** `skydns.local` → `/skydns/local/skydns`; CoreDNS asks for whatever it is asked in lower case. */
const prefixOf = (domain: string): string =>
  ['/skydns', ...domain.toLowerCase().split('.').filter(Boolean).reverse()].join('/')

function nodesOf(instance: Instance, { domain, network }: Config): NodeText[] {
  const container = inspectOf(instance)
  const address = addressOf(container, String(network))
  const hostname = string(fields(container['Config'])['Hostname'])
  if (!isAnswering(instance) || address === '' || !isHostname(hostname)) return []
  return [[`${prefixOf(String(domain))}/${hostname.toLowerCase()}`, JSON.stringify({ host: address })]]
}

const isAnswering = ({ state }: Instance): boolean => state === 'running' || state === 'stopping'

/** Anything else could be no name for the DNS, or another path. */
const isHostname = (name: string): boolean => /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(name)

function addressOf(container: Fields, wanted: string): string {
  const networks = fields(fields(container['NetworkSettings'])['Networks'])
  const names = wanted === '' ? Object.keys(networks).sort() : [wanted]
  const addresses = names.map((name) => {
    const network = fields(networks[name])
    return string(network['IPAddress']) || string(network['GlobalIPv6Address'])
  })
  return addresses.find((address) => isIP(address) !== 0) ?? ''
}
