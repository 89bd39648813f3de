import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { execa } from 'execa'
import { messageOf } from '../../../src/lib/errors.js'
import { createMetadataLookups } from '../../../src/sources/rancher-metadata/lookups.js'
import { type AnswerMap, type MetadataServer, startMetadataServer } from '../../support/metadata-server.js'
import { tempDir } from '../../support/temp.js'

const signal = new AbortController().signal
const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']

let server: MetadataServer
let site: { certificate: string; key: string }
let other: { certificate: string; key: string }

beforeAll(async () => {
  server = await startMetadataServer()
  ;[site, other] = await Promise.all([makePair(['-nodes']), makePair(['-nodes'])])
})
afterAll(() => server.close())
afterEach(() => {
  server.fault(undefined)
  server.setSelf(undefined)
})

async function makePair(protection: readonly string[], days = '30') {
  const dir = tempDir()
  const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const subject = ['-subj', '/CN=ci.example.com', '-days', days]
  await execa('openssl', ['req', '-x509', ...ec, ...protection, '-keyout', key, '-out', certificate, ...subject])
  return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
}

const lookups = (settings: { timeoutMs?: number } = {}) =>
  createMetadataLookups({ host: server.host, version: '2015-12-19', timeoutMs: 5000, ...settings })

const base64Of = (text: string) => Buffer.from(text).toString('base64').replace(/.{64}/g, '$&\n')

function certificateOf(metadata: AnswerMap, base64 = false) {
  server.setSelf({ service: { metadata } })
  return lookups().certificate(signal, { base64 })
}

describe('the address of the host', () => {
  test.each(['10.0.0.7', 'fe80::1', 'node-1.example.com'])('%s is taken as it is', async (address) => {
    server.setSelf({ host: { agent_ip: address } })
    expect(await lookups().agentIp(signal)).toBe(address)
  })

  test('is undefined for a caller that the service does not know, and while it is empty', async () => {
    expect(await lookups().agentIp(signal)).toBeUndefined()
    for (const agent_ip of [null, '']) {
      server.setSelf({ host: { agent_ip } })
      expect(await lookups().agentIp(signal)).toBeUndefined()
    }
  })

  test.each([['10.0.0.7\nlog global'], ['10.0.0.700'], ['a b'], [7], [{ ip: 'x' }]])(
    '%j is refused',
    async (agent_ip) => {
      server.setSelf({ host: { agent_ip } })
      await expect(lookups().agentIp(signal)).rejects.toThrow('neither an IP address nor a host name')
    },
  )

  test.each(['down', '500', 'truncated', 'garbage'] as const)('is an error while the service is %s', async (kind) => {
    server.fault(kind)
    await expect(lookups().agentIp(signal)).rejects.toThrow(/agent_ip/)
  })

  test('is not waited for longer than the limit, and not at all after an abort', async () => {
    server.fault('slow')
    await expect(
      lookups({ timeoutMs: 100 })
        .agentIp(signal)
        .catch((error) => Promise.reject(messageOf(error))),
    ).rejects.toMatch('the whole answer took longer than 0.1 s')
    await expect(lookups().agentIp(AbortSignal.abort())).rejects.toThrow()
  })
})

describe('the certificate', () => {
  test('and its key come as one PEM text, plain or base64', async () => {
    const pem = `${site.certificate.trim()}\n${site.key.trim()}\n`
    expect(await certificateOf({ ssl_cert: site.certificate, ssl_key: site.key })).toBe(pem)
    expect(await certificateOf({ ssl_cert: base64Of(site.certificate), ssl_key: base64Of(site.key) }, true)).toBe(pem)
  })

  test('keeps its chain and loses whatever else stood beside it', async () => {
    const ssl_cert = `subject=/CN=x\r\n${site.certificate.replaceAll('\n', '\r\n')}\n# ca\n${other.certificate}`
    const pem = await certificateOf({ ssl_cert, ssl_key: `${site.key}bind :81\n` })
    expect(pem).toBe(`${site.certificate.trim()}\n${other.certificate.trim()}\n${site.key.trim()}\n`)
  })

  test('is undefined where metadata has none', async () => {
    expect(await lookups().certificate(signal, { base64: false })).toBeUndefined()
    expect(await certificateOf({ ssl_cert: '', ssl_key: null })).toBeUndefined()
  })

  test.each<[string, () => AnswerMap, boolean, string]>([
    ['the key is missing', () => ({ ssl_cert: site.certificate }), false, 'has ssl_cert but no ssl_key'],
    ['the certificate is missing', () => ({ ssl_key: site.key }), false, 'has ssl_key but no ssl_cert'],
    [
      'the key is that of another one',
      () => ({ ssl_cert: site.certificate, ssl_key: other.key }),
      false,
      'ssl_key is not the key of the first certificate',
    ],
    [
      'both are swapped',
      () => ({ ssl_cert: site.key, ssl_key: site.certificate }),
      false,
      'ssl_cert holds no CERTIFICATE block',
    ],
    [
      'it is base64 and nobody said so',
      () => ({ ssl_cert: base64Of(site.certificate), ssl_key: base64Of(site.key) }),
      false,
      'if it is base64, set SSL_BASE64_ENCODED',
    ],
    [
      'it is plain and base64 was said',
      () => ({ ssl_cert: site.certificate, ssl_key: site.key }),
      true,
      'ssl_cert is not base64; unset SSL_BASE64_ENCODED',
    ],
    [
      'the certificate is cut short',
      () => ({ ssl_cert: site.certificate.replace(/^MII.{30}/m, ''), ssl_key: site.key }),
      false,
      'ssl_cert holds a block that is no certificate (number 1)',
    ],
    [
      'the key is cut short',
      () => ({ ssl_cert: site.certificate, ssl_key: site.key.replace(/^MI.{30}/m, '') }),
      false,
      'ssl_key holds a block that is no private key',
    ],
  ])('is refused when %s, without a word of the key', async (_, metadata, base64, message) => {
    const error: unknown = await certificateOf(metadata(), base64).catch((reason: unknown) => reason)
    expect(messageOf(error)).toContain(message)
    const shown = inspect(error, { depth: 10 })
    for (const line of [site.key, other.key]
      .join('\n')
      .split('\n')
      .filter((text) => text.length > 30)) {
      if (!line.startsWith('-----')) expect(shown).not.toContain(line)
    }
  })

  test('is refused when its key has a passphrase', async () => {
    const locked = await makePair(['-passout', 'pass:secret'])
    await expect(certificateOf({ ssl_cert: locked.certificate, ssl_key: locked.key })).rejects.toThrow('passphrase')
  })

  test('is read in one breath however hostile it is', async () => {
    const ssl_cert = '-----BEGIN CERTIFICATE-----\n'.repeat(30_000)
    await expect(certificateOf({ ssl_cert, ssl_key: 'x' })).rejects.toThrow('holds no CERTIFICATE block')
    await expect(certificateOf({ ssl_cert: 'x'.repeat(2_000_000), ssl_key: 'x' })).rejects.toThrow(/ssl_cert failed/)
  })
})
