import { expect, test } from '@jest/globals'
import type { Instance } from '../../../src/model/instance.js'
import { createHolding } from '../../../src/sources/consul/holding.js'
import { instance } from '../../support/instances.js'

const LEASE_MS = 30_000
const LOOKING_MS = 35_000
const RETELLING_MS = 125_000
const [a, b, c] = ['a', 'b', 'c'].map((name) => instance(name)) as [Instance, Instance, Instance]

function start(leaseMs = LEASE_MS) {
  let nowMs = 0
  const holding = createHolding({ leaseMs, elapsed: () => nowMs })
  const names = (told: readonly Instance[], newest = 100) =>
    holding
      .believe(told, newest)
      ?.map(({ name }) => name)
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
  holding.doubt('outage')
  expect([names([c]), holding.leftMs()]).toEqual(['a b c', LEASE_MS])
  pass(LEASE_MS - 1)
  expect(names([c])).toBe('a b c')
  pass(1)
  expect([names([c]), holding.leftMs()]).toEqual(['c', undefined])
})

test('what is seen again and goes then has gone, and is told as it is now', () => {
  const { holding, names } = start()
  names([a, b])
  holding.doubt('outage')
  const other = { ...a }
  expect(holding.believe([other], 100)?.[0]).toBe(other)
  expect(names([])).toBe('b')
})

test('a server that counts anew is given the time that agents take to tell it everything again', () => {
  const { holding, names, pass } = start()
  names([a, b], 5000)
  holding.doubt('outage')
  expect(names([], 12)).toBe('a b')
  pass(LEASE_MS)
  expect(names([b], 14)).toBe('a b')
  pass(RETELLING_MS - LEASE_MS)
  expect(names([b], 14)).toBe('b')
})

test('of two outages the later one counts', () => {
  const { holding, names, pass } = start()
  names([a])
  holding.doubt('outage')
  expect(names([])).toBe('a')
  pass(LEASE_MS - 1)
  holding.doubt('outage')
  expect(names([])).toBe('a')
  pass(LEASE_MS - 1)
  expect(names([])).toBe('a')
  pass(1)
  expect(names([])).toBe('')
})

test('after an outage, what is not well any more counts as well for as long as agents take to look, and no longer', () => {
  const { holding, pass } = start()
  const ill = { ...a, health: 'unhealthy' as const }
  holding.believe([a, b], 100)
  holding.doubt('outage')
  // The server tells first what it knew before.
  expect(holding.believe([a, b], 100)).toEqual([a, b])
  pass(LOOKING_MS / 2)
  expect(holding.believe([ill, b], 101)?.[0]).toBe(a)
  expect(holding.leftMs()).toBe(LOOKING_MS)
  // An outage does not begin that time anew.
  holding.doubt('outage')
  pass(LOOKING_MS)
  expect(holding.believe([ill, b], 101)).toEqual([ill, b])
  expect(holding.believe([a, b], 102)).toEqual([a, b])
  pass(LOOKING_MS)
  expect(holding.believe([ill, b], 103)).toEqual([ill, b])
})

test('who begins in an outage is told nothing while something is not well, for at most as long as agents take to look', () => {
  const { holding, pass } = start()
  const ill = { ...a, health: 'unhealthy' as const }
  holding.doubt('outage')
  expect([holding.believe([ill, b], 100), holding.leftMs()]).toEqual([undefined, LOOKING_MS])
  pass(LOOKING_MS)
  expect([holding.believe([ill, b], 100), holding.leftMs()]).toEqual([[ill, b], undefined])
})

test('how long agents take to look does not depend on the lease', () => {
  for (const leaseMs of [2000, 600_000]) {
    const { holding, pass } = start(leaseMs)
    const ill = { ...a, health: 'unhealthy' as const }
    holding.believe([a], 100)
    holding.doubt('outage')
    holding.believe([ill], 101)
    pass(LOOKING_MS - 1)
    expect(holding.believe([ill], 101)?.[0]).toBe(a)
    pass(1)
    expect(holding.believe([ill], 101)?.[0]).toBe(ill)
  }
})

test('a server that has begun to count anew is given that time, however far it has come by now', () => {
  const { holding, names, pass } = start()
  names([a, b], 5000)
  holding.doubt('index')
  expect(names([a], 5001)).toBe('a b')
  pass(RETELLING_MS - 1)
  expect(names([a], 5001)).toBe('a b')
  pass(1)
  expect(names([a], 5001)).toBe('a')
})

test('who begins in an outage is not told that nothing runs before agents had the time to look', () => {
  const { holding, pass } = start()
  holding.doubt('outage')
  expect([holding.believe([], 9), holding.leftMs()]).toEqual([undefined, LOOKING_MS])
  pass(LOOKING_MS)
  expect(holding.believe([], 9)).toEqual([])
})
