import { hostname } from 'node:os'
import type { Settings } from '../config/schema.js'

/** Where a proxy sends requests that are to be held. */
export interface PublicAddress {
  readonly address: string
  readonly port: number
}

/**
 * Undefined: there is no public port.
 * @param isLocal whether the proxy runs on this machine, in our network namespace
 */
export function publicAddress(
  { public: { listen, address } }: Pick<Settings, 'public'>,
  isLocal: boolean,
): PublicAddress | undefined {
  if (listen === undefined) return undefined
  if (address !== undefined) return { address: address.host, port: address.port }
  const isEverywhere = ['0.0.0.0', '::'].includes(listen.host)
  const own = isLocal ? '127.0.0.1' : hostname()
  return { address: isEverywhere ? own : listen.host, port: listen.port }
}
