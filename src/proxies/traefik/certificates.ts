import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf, HostlerError } from '../../lib/errors.js'

/** A certificate file that Traefik shall serve. */
export interface CertificateContext {
  /** PEM; holds the key too unless there is a file `NAME.key`. */
  readonly certFile: string
  readonly keyFile: string
  /** Served to clients that name no known host: the file is called `default.pem`. */
  readonly isDefault: boolean
  /** Stands for the content: Traefik reads a renewed file only when the configuration changes too. */
  readonly fingerprint: string
}

/**
 * The certificates of a folder: every `NAME.pem`, with its key inside or in `NAME.key`.
 * @throws HostlerError `CERTIFICATES`
 */
export function listCertificates(dir: string): CertificateContext[] {
  if (dir === '') return []
  try {
    const names = readdirSync(dir).filter((name) => name.endsWith('.pem'))
    return names.sort().map((name) => certificateOf(dir, name))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw new HostlerError('CERTIFICATES', `certificates in ${dir} cannot be read; let this user read them`, {
      cause: error,
    })
  }
}

function certificateOf(dir: string, name: string): CertificateContext {
  const certFile = join(dir, name)
  const ownKey = join(dir, name.replace(/\.pem$/, '.key'))
  const keyFile = existsSync(ownKey) ? ownKey : certFile
  const hash = createHash('sha256').update(readFileSync(certFile)).update(readFileSync(keyFile))
  return { certFile, keyFile, isDefault: name === 'default.pem', fingerprint: hash.digest('hex').slice(0, 16) }
}
