import { HostlerError } from '../errors.js'
import { maskCredentials } from '../mask.js'
import { printable } from '../printable.js'
import type { EtcdAddress } from './client.js'

/** Written as people and etcdctl write them: what is missing is etcd's own port, or a scheme. @throws HostlerError `CONFIG` */
export function readEndpoints({ endpoints, ca, cert }: Pick<EtcdAddress, 'endpoints' | 'ca' | 'cert'>): string[] {
  const scheme = ca === '' && cert === '' ? 'http' : 'https'
  const hosts = endpoints.map((endpoint) => {
    const match = /^(?:(https?):\/\/)?([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?\/?$/.exec(endpoint)
    if (match) return `${match[1] ?? scheme}://${match[2]}${match[3] ?? ':2379'}`
    const shown = JSON.stringify(printable(maskCredentials(endpoint), 200))
    throw new HostlerError('CONFIG', `${shown} is no etcd endpoint (ETCD_ENDPOINT); write http://HOST:2379`)
  })
  if (hosts.length === 0) throw new HostlerError('CONFIG', 'ETCD_ENDPOINT names no server; write http://HOST:2379')
  const secure = hosts.filter((host) => host.startsWith('https://'))
  if (secure.length > 0 && secure.length < hosts.length)
    throw new HostlerError(
      'CONFIG',
      'ETCD_ENDPOINT mixes http:// and https://; all servers of a cluster speak one of them',
    )
  return [...new Set(hosts)]
}
