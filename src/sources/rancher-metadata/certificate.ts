import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { HostlerError } from '../../lib/errors.js'

/**
 * The certificates (leaf first) and the private key as one PEM text, and nothing else of what came with them. Throws a
 * HostlerError that says what is wrong with them; neither it nor its cause shows any of the key.
 */
export function toPem(certificateText: string, keyText: string, { base64 }: { base64: boolean }): string {
  const certificates = blocksOf(decoded(certificateText, base64, 'ssl_cert'), /CERTIFICATE/)
  const keys = blocksOf(decoded(keyText, base64, 'ssl_key'), /(?:[A-Z]+ )?PRIVATE KEY/)
  const [leaf] = certificates.map(readCertificate)
  const [keyBlock] = keys
  const hint = base64 ? '' : '; if it is base64, set SSL_BASE64_ENCODED'
  if (!leaf) throw refusal('ssl_cert', `holds no CERTIFICATE block${hint}`)
  if (keyBlock === undefined) throw refusal('ssl_key', `holds no PRIVATE KEY block${hint}`)
  if (!leaf.checkPrivateKey(readKey(keyBlock))) {
    throw refusal('ssl_key', 'is not the key of the first certificate in ssl_cert; put the leaf certificate first')
  }
  return `${[...certificates, keyBlock].join('\n')}\n`
}

function decoded(text: string, base64: boolean, name: string): string {
  if (!base64) return text
  const compact = text.replace(/\s+/g, '')
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(compact)) return Buffer.from(compact, 'base64').toString('utf8')
  throw refusal(name, 'is not base64; unset SSL_BASE64_ENCODED if it is plain PEM')
}

/** The PEM blocks of one kind, each with line feeds only. A block ends at the next dashes, or is none: no backtracking. */
function blocksOf(text: string, label: RegExp): string[] {
  const block = new RegExp(`-----BEGIN (${label.source})-----(?:(?!-----)[A-Za-z0-9+/=\\s:,-])*-----END \\1-----`, 'g')
  return [...text.replace(/\r\n?/g, '\n').matchAll(block)].map(([found]) => found)
}

function readCertificate(pem: string, index: number): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw refusal('ssl_cert', `holds a block that is no certificate (number ${index + 1})`, cause)
  }
}

function readKey(pem: string): KeyObject {
  if (/ENCRYPTED/.test(pem)) throw refusal('ssl_key', 'is protected by a passphrase; put the plain key there')
  try {
    return createPrivateKey(pem)
  } catch {
    throw refusal('ssl_key', 'holds a block that is no private key')
  }
}

const refusal = (name: string, problem: string, cause?: unknown) =>
  new HostlerError(
    'metadata-certificate',
    `self/service/metadata/${name} ${problem}`,
    cause === undefined ? {} : { cause },
  )
