import { describe, expect, test } from '@jest/globals'
import { describeStep } from '../../../../src/proxies/haproxy/runtime/planner-steps.js'
import {
  isSpare,
  NOTHING_SINCE_LOAD,
  shouldRefill,
  spareOwners,
  stackOf,
} from '../../../../src/proxies/haproxy/runtime/spares.js'

const used = new Map([['shop', 'hostler_spare_002']])

describe('spares', () => {
  test('are known by their names', () => {
    expect(
      ['hostler_spare_001', 'hostler_spare_1000', 'hostler_spare_x', 'hostler_spare_', 'shop'].map(isSpare),
    ).toEqual([true, true, false, false, false])
  })

  test('are called in statistics like the backend that they serve, and not at all when they serve none', () => {
    const state = { ...NOTHING_SINCE_LOAD, used }
    expect(['hostler_spare_002', 'hostler_spare_001', 'blog'].map((name) => stackOf(name, state))).toEqual([
      'shop',
      undefined,
      'blog',
    ])
    expect([...spareOwners(state)]).toEqual([['hostler_spare_002', 'shop']])
  })

  test('are refilled when half of them are in use and nothing has changed for a while', () => {
    const rules = { pool: 4, quietMs: 1000 }
    const inUse = (count: number) => ({ used: new Map(Array.from({ length: count }, (_, n) => [`b${n}`, `s${n}`])) })
    expect(shouldRefill(inUse(2), 2000, 1000, rules)).toBe(true)
    expect(shouldRefill(inUse(4), 2000, 1000, rules)).toBe(true)
    expect(shouldRefill(inUse(2), 1999, 1000, rules)).toBe(false)
    expect(shouldRefill(inUse(1), 9000, 1000, rules)).toBe(false)
    expect(shouldRefill(inUse(0), 9000, 1000, { ...rules, pool: 1 })).toBe(false)
    expect(shouldRefill(inUse(2), 9000, 1000, { ...rules, pool: 0 })).toBe(false)
  })
})

describe('steps in words', () => {
  test('speak of the backend behind a spare', () => {
    const step = { kind: 'remove-server', backend: 'hostler_spare_002', server: 'web' } as const
    expect(describeStep(step, { used })).toBe('drain and remove server shop/web [hostler_spare_002]')
    expect(describeStep(step)).toBe('drain and remove server hostler_spare_002/web')
  })

  test('show no key of a certificate and stay on one short line', () => {
    expect(describeStep({ kind: 'set-certificate', path: '/c/a.pem', pem: 'KEY' })).toBe('replace certificate /c/a.pem')
    const long = describeStep({ kind: 'remove-map-entry', map: '/h/domain.map', key: `a\n${'x'.repeat(500)}` })
    expect(long).toHaveLength(200)
    expect(long).not.toContain('\n')
  })
})
