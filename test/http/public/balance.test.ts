import { expect, test } from '@jest/globals'
import { createBalancer } from '../../../src/http/public/balance.js'
import type { Backend, Server } from '../../../src/model/plan.js'

const server = (name: string, more: Partial<Server> = {}): Server => ({
  name,
  address: '127.0.0.1',
  port: 80,
  options: [],
  instance: name,
  ...more,
})
const backend = (...servers: Server[]) => ({ name: 'shop', servers }) as unknown as Backend

function chosen(count: number, of: Backend, avoid?: Server): string {
  const balance = createBalancer()
  return Array.from({ length: count }, () => balance(of, avoid)?.name ?? '-').join('')
}

test('servers take turns', () => {
  expect(chosen(6, backend(server('a'), server('b'), server('c')))).toBe('abcabc')
})

test('one that weighs more has more turns, spread evenly', () => {
  expect(chosen(8, backend(server('a', { weight: 5 }), server('b', { options: ['weight 2'] }), server('c')))).toBe(
    'abaacaba',
  )
})

test('one that weighs nothing, and a spare, have none while there is another', () => {
  const [zero, spare] = [server('z', { weight: 0 }), server('s', { options: ['check', 'backup'] })]
  expect(chosen(3, backend(zero, spare, server('a')))).toBe('aaa')
  expect(chosen(3, backend(zero, spare))).toBe('sss')
  expect(chosen(3, backend(zero))).toBe('zzz')
})

test('one to be avoided has none while there is another', () => {
  const [a, b] = [server('a'), server('b')]
  expect(chosen(3, backend(a, b), a)).toBe('bbb')
  expect(chosen(2, backend(a), a)).toBe('aa')
  expect(chosen(1, backend())).toBe('-')
})
