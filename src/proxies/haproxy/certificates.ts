import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'
import type { CertificateContext } from './context.js'

/** The certificates on disk that HAProxy can load: the default one first, then the folder's, by name. */
export interface Certificates {
  list(): CertificateContext[]
}

/** A bad certificate would make HAProxy refuse everything, so it is left out, and said once. */
export function createCertificates({ file, folder, log }: { file: string; folder: string; log: Logger }): Certificates {
  const judged = new Map<string, { stamp: string; fit: boolean }>()
  const isFit = (path: string): boolean => {
    const stamp = stampOf(path)
    const known = judged.get(path)
    if (known?.stamp === stamp) return known.fit
    const problem = flaw(path)
    if (problem !== undefined) log.error({ path, reason: problem }, 'the certificate cannot be served and is left out')
    judged.set(path, { stamp, fit: problem === undefined })
    return problem === undefined
  }
  return {
    list() {
      const paths = [file, ...pemFiles(folder)].filter((path) => existsSync(path))
      return paths.filter(isFit).map((path) => ({ path, host: path === file ? null : hostOf(path) }))
    },
  }
}

function pemFiles(folder: string): string[] {
  if (folder === '' || !existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.pem') && !/\s/.test(name))
    .sort()
    .map((name) => join(folder, name))
}

/** `app.example.com.pem` also serves exactly that host, `_.example.com.pem` its wildcard, whatever names are in them. */
function hostOf(path: string): string | null {
  const name = path
    .slice(path.lastIndexOf('/') + 1, -'.pem'.length)
    .toLowerCase()
    .replace(/^_\./, '*.')
  return /^(\*\.)?([a-z0-9-]+\.)+[a-z0-9-]+$/.test(name) ? name : null
}

function stampOf(path: string): string {
  const keyFile = `${path}.key`
  return [path, ...(existsSync(keyFile) ? [keyFile] : [])]
    .map((one) => statSync(one, { bigint: true }))
    .map(({ mtimeNs, size, ino }) => `${mtimeNs} ${size} ${ino}`)
    .join(' ')
}

/** Why HAProxy would refuse it, or undefined. The key may lie beside it, as `NAME.pem.key`. */
function flaw(path: string): string | undefined {
  try {
    const text = readFileSync(path, 'utf8')
    const certificate = new X509Certificate(text)
    const keyText = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text) ? text : readFileSync(`${path}.key`, 'utf8')
    const key = createPrivateKey(keyText.slice(keyText.search(/-----BEGIN [A-Z ]*PRIVATE KEY-----/)))
    return certificate.checkPrivateKey(key) ? undefined : 'its key belongs to another certificate'
  } catch (error) {
    return messageOf(error)
  }
}
