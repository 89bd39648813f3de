import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ConnectionOptions, connect } from 'node:tls'
import { execa } from 'execa'
import { tempDir } from './temp.js'

export interface Pem {
  readonly certificate: string
  readonly key: string
  /** Both in one text, as HAProxy takes them. */
  readonly both: string
  readonly serial: string
}

/** A self-signed certificate for these names, the first one being its subject. */
export async function makePem(...names: string[]): Promise<Pem> {
  const dir = tempDir('hostler-pem-')
  const [keyFile, certFile] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30']
  const alternatives = `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`
  const subject = ['-subj', `/CN=${names[0]}`, '-addext', alternatives]
  await execa('openssl', ['req', '-x509', ...ec, '-keyout', keyFile, '-out', certFile, ...subject])
  const [certificate, key] = [readFileSync(certFile, 'utf8'), readFileSync(keyFile, 'utf8')]
  return { certificate, key, both: certificate + key, serial: new X509Certificate(certificate).serialNumber }
}

/** Certificate and key of 512 bits, which OpenSSL makes and HAProxy refuses to serve. */
export async function makeWeakPem(name: string): Promise<string> {
  const dir = tempDir('hostler-pem-')
  const [keyFile, certFile] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const rsa = ['-newkey', 'rsa:512', '-nodes', '-days', '30', '-subj', `/CN=${name}`]
  await execa('openssl', ['req', '-x509', ...rsa, '-keyout', keyFile, '-out', certFile])
  return readFileSync(certFile, 'utf8') + readFileSync(keyFile, 'utf8')
}

/** The serial number of the certificate that a server shows for a name. */
export function servedSerial(port: number, servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options: ConnectionOptions = { host: '127.0.0.1', port, servername, rejectUnauthorized: false }
    const socket = connect(options, () => {
      resolve(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    })
    socket.once('error', reject)
  })
}
