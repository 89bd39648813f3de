import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { tempDir } from './temp.js'

/** A certificate authority for one suite, and certificates that it signs. Everything is files in PEM. */
export interface Authority {
  readonly ca: string
  /** @param names `DNS:localhost`, `IP:127.0.0.1` */
  issue(name: string, names: readonly string[], validity?: 'valid' | 'expired'): Promise<{ cert: string; key: string }>
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

export async function createAuthority(): Promise<Authority> {
  const dir = tempDir('hostler-ca-')
  const [ca, caKey] = [join(dir, 'ca.pem'), join(dir, 'ca-key.pem')]
  await execa('openssl', ['req', '-x509', ...KEY, '-days', '30', '-keyout', caKey, '-out', ca, '-subj', '/CN=Test CA'])
  return {
    ca,
    async issue(name, names, validity = 'valid') {
      const [cert, key, request, extensions] = ['pem', 'key.pem', 'csr', 'ext'].map((end) =>
        join(dir, `${name}.${end}`),
      ) as [string, string, string, string]
      writeFileSync(extensions, `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth,clientAuth\n`)
      await execa('openssl', ['req', ...KEY, '-keyout', key, '-out', request, '-subj', `/CN=${name}`])
      const signing = [
        'x509',
        '-req',
        '-in',
        request,
        '-CA',
        ca,
        '-CAkey',
        caKey,
        '-CAcreateserial',
        '-extfile',
        extensions,
      ]
      // A day that ended before it began: no clock has to be turned.
      const days = validity === 'valid' ? '30' : '-1'
      await execa('openssl', [...signing, '-out', cert, '-days', days])
      return { cert, key }
    },
  }
}
