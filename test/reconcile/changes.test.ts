import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Backend, Plan } from '../../src/model/plan.js'
import { changeOf, subjectOf } from '../../src/reconcile/changes.js'
import { sampleBackend } from '../support/states.js'

const planOf = (backends: readonly Backend[]): Plan => ({ backends, routes: [], rejections: [], warnings: [] })
const applied = { how: 'runtime', ms: 1 } as const

describe('the backends of a change', () => {
  test('are those that came, were made anew or went, wherever they stand', () => {
    const pool = Array.from({ length: 8 }, (_, n) => [sampleBackend(`b${n}`), sampleBackend(`b${n}`)])
    const choice = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: pool.length, maxLength: pool.length })
    const chosen = (choices: readonly number[]) =>
      pool.flatMap((versions, index) => versions[choices[index] ?? 2] ?? [])
    fc.assert(
      fc.property(choice, choice, (olds, news) => {
        const [before, now] = [planOf(chosen(olds)), planOf(chosen(news))]
        const { count, first } = changeOf(applied, { at: 0, files: [], before, now }).backends
        const expected = pool.flatMap(([any], index) => (olds[index] === news[index] ? [] : [any?.name]))
        expect([count, [...first].sort()]).toEqual([expected.length, expected])
      }),
    )
  })
})

describe('what a change was about', () => {
  const about = (more: object) =>
    subjectOf({ ...changeOf(applied, { at: 0, files: ['/h/a.cfg', '/h/b.map'] }), ...more })

  test('is its backends; without any the first step, without steps the files', () => {
    const steps = { count: 3, first: ['remove stray.test from b.map', 'two', 'three'] }
    expect(about({ backends: { count: 2, first: ['shop', 'blog'] }, steps })).toBe('shop and blog')
    expect(about({ steps })).toBe('remove stray.test from b.map and 2 more')
    expect(about({})).toBe('a.cfg and b.map')
    expect(about({ files: [] })).toBe('')
  })
})
