import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { bool, domain, duration, integer, list, listen, listOf, oneOf, text, url } from '../../src/config/values.js'
import { formatDuration, parseDuration } from '../../src/lib/duration.js'

const DAY_MS = 86_400_000

describe('durations', () => {
  test('every duration that is written reads back as itself', () => {
    fc.assert(fc.property(fc.nat(DAY_MS * 11), (ms) => expect(parseDuration(formatDuration(ms))).toBe(ms)))
  })

  test('any text gives whole milliseconds of a finite size, or nothing', () => {
    const almost = fc
      .tuple(fc.double(), fc.constantFrom('ms', 's', 'm', 'h', 'd', 'w', ''))
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(fc.string(), almost), (text) => {
        const ms = parseDuration(text)
        expect(ms === undefined || (Number.isInteger(ms) && ms >= 0)).toBe(true)
      }),
    )
  })

  test.each([
    ['1500ms', 1500],
    [' 10s ', 10_000],
    ['1.5h', 5_400_000],
    ['0', 0],
    [0, 0],
  ])('%j is %d ms', (value, ms) => expect(duration().parse(value)).toBe(ms))

  test.each(['', '10', 10, '-1s', '1 h', 's', '1e3s', '99999999999d', '25d', true, ['1s']])('%j is refused', (value) =>
    expect(duration().safeParse(value).success).toBe(false),
  )

  test('a minimum is kept, and named in its own words', () => {
    expect(duration(100).parse('100ms')).toBe(100)
    expect(duration(100).safeParse('0').error?.issues[0]?.message).toBe('is out of range; it takes 100ms to 24d')
  })
})

describe('lists', () => {
  test.each([
    ['a, b ,,c', ['a', 'b', 'c']],
    [
      ['a ', '', 8080],
      ['a', '8080'],
    ],
    ['', []],
    [80, ['80']],
  ])('%j gives %j', (value, items) => expect(list().parse(value)).toEqual(items))

  test('a list of known words names each stranger', () => {
    const { error } = listOf('docker', 'file').safeParse('docker,dokcer,etcd')
    expect(error?.issues.map((issue) => issue.message)).toEqual([
      'does not know "dokcer"; it takes docker, file',
      'does not know "etcd"; it takes docker, file',
    ])
  })

  test('a list of lists is refused', () => expect(list().safeParse([['a']]).success).toBe(false))
})

describe('addresses to listen on', () => {
  test.each([
    ['127.0.0.1:8008', { host: '127.0.0.1', port: 8008 }],
    ['[::1]:0', { host: '::1', port: 0 }],
    ['localhost:80', { host: 'localhost', port: 80 }],
    ['8008', { host: '0.0.0.0', port: 8008 }],
    [8008, { host: '0.0.0.0', port: 8008 }],
    [':8008', { host: '0.0.0.0', port: 8008 }],
  ])('%j', (value, expected) => expect(listen().parse(value)).toEqual(expected))

  test.each(['', 'localhost', '::1:80', '1.2.3.4:70000', 'a b:80', 'http://x:80', '-1', 80.5])(
    '%j is refused',
    (value) => expect(listen().safeParse(value).success).toBe(false),
  )
})

describe('single values', () => {
  test.each([
    [true, true],
    ['TRUE', true],
    ['on', true],
    [1, true],
    ['0', false],
    ['no', false],
    ['', false],
  ])('%j reads as %j', (value, expected) => expect(bool().parse(value)).toBe(expected))

  test('what is neither true nor false is refused', () => {
    for (const value of ['maybe', 2, [true], {}]) expect(bool().safeParse(value).success).toBe(false)
  })

  test('whole numbers keep to their range', () => {
    expect(integer(1, 9).parse(' 9 ')).toBe(9)
    for (const value of ['0', '10', '1.5', '0x1', '', '1e0', true]) {
      expect(integer(1, 9).safeParse(value).success).toBe(false)
    }
  })

  test('one of several words, in any case', () => {
    expect(oneOf('301', '302').parse(301)).toBe('301')
    expect(oneOf('debug', 'info').parse('Info')).toBe('info')
    expect(oneOf('debug', 'info').safeParse('loud').error?.issues[0]?.message).toBe('takes debug, info')
  })

  test('text takes what YAML makes of a number or a word, and no structure', () => {
    expect(text().parse(5)).toBe('5')
    expect(text().parse(' a ')).toBe('a')
    for (const value of [['a'], { a: 1 }]) expect(text().safeParse(value).success).toBe(false)
  })

  test('a domain is a DNS name in lower case', () => {
    expect(domain().parse('CI.Example.com')).toBe('ci.example.com')
    expect(domain().parse('localhost')).toBe('localhost')
    for (const value of ['.example.com', 'example.com.', 'a b.com', '-a.com', '*.example.com', 'münchen.de', 'a..b']) {
      expect(domain().safeParse(value).success).toBe(false)
    }
  })

  test('a URL loses its last slash, and must be http', () => {
    expect(url().parse(' http://traefik:8080/ ')).toBe('http://traefik:8080')
    expect(url().parse('')).toBe('')
    for (const value of ['traefik:8080', 'ftp://x', 'http://', 'http://a b', 'http://h:99999']) {
      expect(url().safeParse(value).success).toBe(false)
    }
  })
})
