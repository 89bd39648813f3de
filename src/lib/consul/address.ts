import { HostlerError } from '../errors.js'
import { maskCredentials } from '../mask.js'

/** Where a Consul is, and how to speak with it: what Consul's own programs are told. */
export interface ConsulAccess {
  /** `host:port`, `http://host:port`, `https://host:port` or `unix:///path`; a user and password in it are sent as such. */
  readonly url: string
  readonly token: string
  /** Speak TLS to an address that names no scheme. */
  readonly ssl: boolean
  /** Whether the server's certificate is looked at. */
  readonly verify: boolean
  /** PEM files; empty: none. */
  readonly ca: string
  readonly cert: string
  readonly key: string
  /** The name that the server's certificate must hold, when it is not the address. */
  readonly serverName: string
}

export interface ConsulAddress {
  /** As undici takes it. */
  readonly origin: string
  /** What every path begins with: empty, or a proxy's prefix. */
  readonly prefix: string
  /** To be shown: without user and password. */
  readonly shown: string
  readonly socketPath?: string
  /** Value of the header `authorization`. */
  readonly authorization?: string
}

/** @throws HostlerError `CONFIG` for what can never be such an address */
export function readAddress({ url, ssl }: Pick<ConsulAccess, 'url' | 'ssl'>): ConsulAddress {
  const shown = maskCredentials(url)
  if (url.startsWith('unix://')) {
    return { origin: 'http://localhost', prefix: '', shown, socketPath: url.slice('unix://'.length) }
  }
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `${ssl ? 'https' : 'http'}://${url}`
  const parsed = URL.canParse(whole) ? new URL(whole) : undefined
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.hostname === '' || /[\s%?#]/.test(url)) {
    throw new HostlerError('CONFIG', `"${shown}" is no address of Consul; write http://host:8500 or host:8500`)
  }
  const { origin, pathname, username, password } = parsed
  const prefix = pathname.replace(/\/+$/, '')
  const basic = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  return {
    ...{ origin, prefix, shown: origin + prefix },
    ...(username !== '' && { authorization: `Basic ${basic}` }),
  }
}
