import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { HostlerError } from '../errors.js'

/** Where one Docker or Podman service listens. */
export type Endpoint = UnixEndpoint | TcpEndpoint

export interface UnixEndpoint {
  readonly kind: 'unix'
  /** As the settings have it, for messages. */
  readonly text: string
  readonly path: string
}

export interface TcpEndpoint {
  readonly kind: 'tcp'
  readonly text: string
  /** IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** Absent: plain HTTP. */
  readonly tls?: TlsFiles
}

/** PEM texts; without `ca` the system's authorities count. */
export interface TlsFiles {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface TlsSettings {
  readonly tlsVerify: boolean
  readonly certPath: string
}

const REMEDY = 'write unix:///var/run/docker.sock or tcp://HOST:2376'

/**
 * Reads one word of `docker.hosts`: `unix://PATH`, an absolute path, `tcp://HOST[:PORT]`, `http://…` or `https://…`.
 * TLS is spoken, and verified, when `tlsVerify` is on, `certPath` is set or the scheme is `https`.
 * @throws HostlerError `CONFIG`
 */
export function parseEndpoint(text: string, settings: TlsSettings): Endpoint {
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text
  if (path.startsWith('/')) return { kind: 'unix', text, path }
  const match = /^(tcp|https?):\/\/(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?\/?$/.exec(text)
  const host = match?.[2] ?? match?.[3]
  if (!match || !host)
    throw new HostlerError('CONFIG', `docker.hosts: "${withoutSecret(text)}" is no endpoint; ${REMEDY}`)
  const secure = settings.tlsVerify || settings.certPath !== '' || match[1] === 'https'
  const port = Number(match[4] ?? (secure ? 2376 : 2375))
  if (port < 1 || port > 65_535) throw new HostlerError('CONFIG', `docker.hosts: "${text}" has no port from 1 to 65535`)
  return { kind: 'tcp', text, host, port, ...(secure && { tls: readTlsFiles(settings) }) }
}

const withoutSecret = (text: string): string => text.replace(/\/\/[^/@]*@/, '//…@')

/** As Docker's own client has it, `~/.docker` stands in for a folder that is not named. */
function readTlsFiles({ certPath }: TlsSettings): TlsFiles {
  const folder = certPath || join(homedir(), '.docker')
  const read = (name: string): string | undefined => {
    const file = join(folder, name)
    if (!existsSync(file)) return undefined
    try {
      return readFileSync(file, 'utf8')
    } catch (cause) {
      throw new HostlerError('CONFIG', `docker.certPath: ${file} cannot be read; see its owner and mode`, { cause })
    }
  }
  const [ca, cert, key] = [read('ca.pem'), read('cert.pem'), read('key.pem')]
  if (certPath !== '' && ca === undefined && cert === undefined) {
    throw new HostlerError(
      'CONFIG',
      `docker.certPath: ${folder} holds neither ca.pem nor cert.pem; name the folder with them`,
    )
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new HostlerError('CONFIG', `docker.certPath: ${folder} needs cert.pem and key.pem together, or neither`)
  }
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
}
