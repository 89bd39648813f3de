import { execFileSync } from 'node:child_process'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Fills a folder as DOCKER_CERT_PATH has it (`ca.pem`, `cert.pem`, `key.pem`), with `server-cert.pem` and
 * `server-key.pem` for an engine at 127.0.0.1. With `like`, only copies the client's files from there.
 */
export function makeCertificates(folder: string, like?: string): string {
  if (like !== undefined) {
    for (const name of ['ca.pem', 'cert.pem', 'key.pem']) copyFileSync(join(like, name), join(folder, name))
    return folder
  }
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca-key.pem',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    '/CN=test authority',
  )
  const issue = (name: string, keyFile: string, certFile: string, extension: string) => {
    openssl('req', ...key, '-keyout', keyFile, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    writeFileSync(join(folder, `${name}.ext`), extension)
    const authority = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-days', '2']
    openssl('x509', '-req', '-in', `${name}.csr`, ...authority, '-extfile', `${name}.ext`, '-out', certFile)
  }
  issue('server', 'server-key.pem', 'server-cert.pem', 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n')
  issue('client', 'key.pem', 'cert.pem', 'extendedKeyUsage=clientAuth\n')
  return folder
}
