import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { differenceOf } from '../../src/lib/difference.js'

describe('the difference of two lists', () => {
  test.each<[string, string[], string[], string[], string[]]>([
    ['nothing', ['a', 'b'], ['a', 'b'], [], []],
    ['one more in the middle', ['a', 'c'], ['a', 'b', 'c'], [], ['b']],
    ['one less at the end', ['a', 'b'], ['a'], ['b'], []],
    ['another in its place', ['a', 'b', 'c'], ['a', 'd', 'c'], ['b'], ['d']],
    ['another order', ['a', 'b', 'c'], ['c', 'a', 'b'], [], []],
    ['all', [], ['a'], [], ['a']],
  ])('%s', (_, before, now, gone, come) => {
    expect(differenceOf(before, now)).toEqual({ gone, come })
  })

  test('is what the lists as sets say, in the order of the lists', () => {
    const list = fc.uniqueArray(fc.nat(20))
    fc.assert(
      fc.property(list, list, (before, now) => {
        const { gone, come } = differenceOf(before, now)
        expect(gone).toEqual(before.filter((item) => !now.includes(item)))
        expect(come).toEqual(now.filter((item) => !before.includes(item)))
      }),
    )
  })
})
