import { expect, test } from '@jest/globals'
import type { Instance } from '../../../src/model/instance.js'
import { createHolding } from '../../../src/sources/consul/holding.js'
import { instance } from '../../support/instances.js'

const LEASE_MS = 30_000
const [a, b, c] = ['a', 'b', 'c'].map((name) => instance(name)) as [Instance, Instance, Instance]

function start() {
  let nowMs = 0
  const holding = createHolding({ leaseMs: LEASE_MS, elapsed: () => nowMs })
  const names = (told: readonly Instance[], newest = 100) =>
    holding
      .believe(told, newest)
      .map(({ name }) => name)
      .join(' ')
  const pass = (ms: number): void => {
    nowMs += ms
  }
  return { holding, names, pass }
}

test('without an outage what is not told has gone', () => {
  const { names } = start()
  expect([names([a, b]), names([b]), names([])]).toEqual(['a b', 'b', ''])
})

test('after an outage what is missing is kept for the lease, in its place, and then it has gone', () => {
  const { holding, names, pass } = start()
  names([a, b])
  holding.doubt()
  expect([names([c]), holding.leftMs()]).toEqual(['a b c', LEASE_MS])
  pass(LEASE_MS - 1)
  expect(names([c])).toBe('a b c')
  pass(1)
  expect([names([c]), holding.leftMs()]).toEqual(['c', undefined])
})

test('what is seen again and goes then has gone, and is told as it is now', () => {
  const { holding, names } = start()
  names([a, b])
  holding.doubt()
  const other = { ...a }
  expect(holding.believe([other], 100)[0]).toBe(other)
  expect(names([])).toBe('b')
})

test('a server that counts anew is given the time that agents take to tell it everything again', () => {
  const { holding, names, pass } = start()
  names([a, b], 5000)
  holding.doubt()
  expect(names([], 12)).toBe('a b')
  pass(LEASE_MS)
  expect(names([b], 14)).toBe('a b')
  pass(2 * LEASE_MS)
  expect(names([b], 14)).toBe('b')
})

test('of two outages the later one counts', () => {
  const { holding, names, pass } = start()
  names([a])
  holding.doubt()
  expect(names([])).toBe('a')
  pass(LEASE_MS - 1)
  holding.doubt()
  expect(names([])).toBe('a')
  pass(LEASE_MS - 1)
  expect(names([])).toBe('a')
  pass(1)
  expect(names([])).toBe('')
})
