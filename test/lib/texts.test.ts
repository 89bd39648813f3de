import { describe, expect, test } from '@jest/globals'
import { ago, span } from '../../src/lib/ago.js'
import { excerpt, listed } from '../../src/lib/excerpt.js'
import { maskCredentials } from '../../src/lib/mask.js'
import { printable } from '../../src/lib/printable.js'

describe('spans of time for people', () => {
  test.each([
    [0, '0s'],
    [-5, '0s'],
    [59_999, '59s'],
    [60_000, '1m'],
    [61_000, '1m 1s'],
    [3_600_000, '1h'],
    [7_500_000, '2h 5m'],
    [86_400_000, '1d'],
    [90_000_000_000, '1041d 16h'],
  ])('%d ms is %s', (ms, expected) => expect(span(ms)).toBe(expected))

  test('a moment is just now, or some time ago, also when the clock ran backwards', () => {
    expect(ago(1000, 1500)).toBe('just now')
    expect(ago(2000, 1000)).toBe('just now')
    expect(ago(1000, 6000)).toBe('5s ago')
  })
})

describe('lists for people', () => {
  test.each([
    [[], ''],
    [['a'], 'a'],
    [['a', 'b'], 'a and b'],
    [['a', 'b', 'c'], 'a, b and c'],
    [['a', 'b', 'c', 'd'], 'a, b, c and d'],
    [['a', 'b', 'c', 'd', 'e'], 'a, b, c and 2 more'],
  ])('%j reads %s', (items, expected) => expect(listed(excerpt(items, 4))).toBe(expected))

  test('an excerpt knows how many there were', () => {
    expect(excerpt(['a', 'b', 'c'], 2)).toEqual({ count: 3, first: ['a', 'b'] })
  })
})

describe('text of others', () => {
  test('loses what steers a terminal, and what is too long', () => {
    expect(printable('a\u001b[31m\r\nb\u202ec\u2028d')).toBe('a [31m b c d')
    expect(printable('Grüße, 世界')).toBe('Grüße, 世界')
    expect(printable('abcdef', 4)).toBe('abc…')
  })

  test('loses the user and password of every address, with a scheme or without', () => {
    expect(maskCredentials('tcp://ci:pw@a:1,https://b/x http://u@c')).toBe('tcp://***@a:1,https://b/x http://***@c')
    expect(maskCredentials('ann:s3c@ret@consul:8500,b:pw@c')).toBe('***@consul:8500,***@c')
    expect(maskCredentials('mail me@example.com')).toBe('mail me@example.com')
    expect(maskCredentials('org/app:v1@sha256:0123')).toBe('org/app:v1@sha256:0123')
  })
})
