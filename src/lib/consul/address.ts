import { HostlerError } from '../errors.js'

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
  if (url.startsWith('unix://')) {
    return { origin: 'http://localhost', prefix: '', shown: url, socketPath: url.slice('unix://'.length) }
  }
  const { scheme, credentials, rest } = splitAddress(url)
  const whole = `${scheme || (ssl ? 'https://' : 'http://')}${credentials}${rest}`
  const parsed = URL.canParse(whole) ? new URL(whole) : undefined
  const isOne = parsed && /^https?:$/.test(parsed.protocol) && parsed.hostname !== ''
  // In credentials `%` stands before what a URL cannot hold; anywhere else it would be a placeholder that nobody has filled.
  if (!isOne || /[\s?#]/.test(url) || rest.includes('%')) throw noAddress(url)
  const { origin, pathname, username, password } = parsed
  const prefix = pathname.replace(/\/+$/, '')
  return {
    ...{ origin, prefix, shown: origin + prefix },
    ...(username !== '' && { authorization: `Basic ${basicOf(url, username, password)}` }),
  }
}

export interface AddressParts {
  /** With its `://`, or empty. */
  readonly scheme: string
  /** User and password with their `@`, or empty. */
  readonly credentials: string
  readonly rest: string
}

/** The three parts of an address, which together are it. */
export function splitAddress(url: string): AddressParts {
  const [, scheme = '', credentials = '', rest = ''] = /^([a-z][a-z0-9+.-]*:\/\/)?(?:(.*@))?(.*)$/is.exec(url) ?? []
  return { scheme, credentials, rest }
}

function basicOf(url: string, username: string, password: string): string {
  try {
    return Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  } catch {
    throw noAddress(url)
  }
}

function noAddress(url: string): HostlerError {
  const { scheme, credentials, rest } = splitAddress(url)
  const shown = `${scheme}${credentials === '' ? '' : '***@'}${rest}`
  return new HostlerError(
    'CONFIG',
    `"${shown}" is no address of Consul; write http://host:8500 or host:8500, and in a password %40 for @ and the like`,
  )
}
