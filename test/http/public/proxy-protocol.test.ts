import { describe, expect, test } from '@jest/globals'
import { proxyHeader } from '../../../src/http/public/proxy-protocol.js'

const ends = (source: string, destination: string, secure = false) => ({
  source: { address: source, port: 5000 },
  destination: { address: destination, port: 443 },
  secure,
})
const SIGNATURE = '0d0a0d0a000d0a515549540a'
const hex = (...given: Parameters<typeof proxyHeader>) => proxyHeader(...given).toString('hex')

describe('version 1', () => {
  test.each([
    ['192.0.2.1', '198.51.100.2', 'PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n'],
    ['2001:db8::1', '::1', 'PROXY TCP6 2001:db8::1 ::1 5000 443\r\n'],
    ['192.0.2.1', '::1', 'PROXY TCP6 ::ffff:192.0.2.1 ::1 5000 443\r\n'],
    ['a b', '::1', 'PROXY UNKNOWN\r\n'],
    ['', '', 'PROXY UNKNOWN\r\n'],
  ])('from %j to %j', (source, destination, expected) => {
    expect(proxyHeader('v1', ends(source, destination)).toString()).toBe(expected)
  })
})

describe('version 2', () => {
  test.each([
    ['192.0.2.1', '198.51.100.2', `${SIGNATURE}2111000cc0000201c63364021388${'01bb'}`],
    ['2001:db8::1', '::1', `${SIGNATURE}2121002420010db8${'0'.repeat(23)}1${'0'.repeat(31)}1138801bb`],
    ['::ffff:192.0.2.1', '::', `${SIGNATURE}21210024${'0'.repeat(20)}ffffc0000201${'0'.repeat(32)}138801bb`],
    [
      'fe80::1%eth0',
      '1:2:3:4:5:6:7:8',
      `${SIGNATURE}21210024fe80${'0'.repeat(27)}100010002000300040005000600070008138801bb`,
    ],
    ['nobody', '::1', `${SIGNATURE}21000000`],
  ])('from %j to %j', (source, destination, expected) => expect(hex('v2', ends(source, destination))).toBe(expected))

  test.each(['v2-ssl', 'v2-ssl-cn'] as const)('%s tells whether the client speaks TLS', (version) => {
    const plain = hex(version, ends('192.0.2.1', '198.51.100.2', false))
    const secure = hex(version, ends('192.0.2.1', '198.51.100.2', true))
    const addresses = 'c0000201c6336402138801bb'
    expect(plain).toBe(`${SIGNATURE}21110014${addresses}20000500${'00000001'}`)
    expect(secure).toBe(`${SIGNATURE}21110014${addresses}20000501${'00000001'}`)
  })
})
