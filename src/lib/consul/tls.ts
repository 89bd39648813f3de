import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { buildConnector } from 'undici'
import { HostlerError } from '../errors.js'
import type { ConsulAccess, ConsulAddress } from './address.js'

type Files = Pick<ConsulAccess, 'verify' | 'ca' | 'cert' | 'key' | 'serverName'>

/** Opens connections. The files are read anew for each, so that a renewed certificate is used without a restart. */
export function createConnector(access: Files, { socketPath }: ConsulAddress, timeoutMs: number) {
  checkPair(access)
  readTls(access)
  const connector: buildConnector.connector = (options, callback) => {
    let connect: buildConnector.connector
    try {
      connect = buildConnector({ ...readTls(access), timeout: timeoutMs, ...(socketPath && { socketPath }) })
    } catch (error) {
      callback(error as Error, null)
      return
    }
    connect(options, callback)
  }
  return connector
}

function checkPair({ cert, key }: Files): void {
  if ((cert === '') === (key === '')) return
  throw new HostlerError('CONFIG', 'CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY belong together; set both or neither')
}

function readTls({ verify, ca, cert, key, serverName }: Files) {
  return {
    rejectUnauthorized: verify,
    ...(ca !== '' && { ca: readPem(ca, 'CONSUL_CACERT') }),
    ...(cert !== '' && { cert: readPem(cert, 'CONSUL_CLIENT_CERT') }),
    ...(key !== '' && { key: readPem(key, 'CONSUL_CLIENT_KEY') }),
    ...(serverName !== '' && { servername: serverName }),
  }
}

function readPem(path: string, setting: string): string {
  try {
    const text = readFileSync(path, 'utf8')
    if (text.includes('-----BEGIN ')) return text
  } catch (cause) {
    throw new HostlerError('CONFIG', `${setting}: ${path} cannot be read`, { cause })
  }
  throw new HostlerError('CONFIG', `${setting}: ${path} holds no PEM block`)
}

/** What is wrong with our own certificate by now, for a server does not say so. */
export function certificateTrouble({ cert }: Pick<Files, 'cert'>, nowMs: number): string | undefined {
  if (cert === '') return undefined
  try {
    const { validTo } = new X509Certificate(readFileSync(cert))
    return Date.parse(validTo) < nowMs ? `our certificate ${cert} has expired on ${validTo}; renew it` : undefined
  } catch {
    return `our certificate ${cert} cannot be read`
  }
}
