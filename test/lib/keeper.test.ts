import { expect, test } from '@jest/globals'
import { createKeeper } from '../../src/lib/keeper.js'

test('what is the same as last time is the object of last time, and only what is not is told of', () => {
  const told: string[] = []
  const keep = createKeeper<{ id: string; tags: string[] }>(({ id, tags }) => told.push(`${id} ${tags.join()}`))
  const make = () => [
    { id: 'a', tags: ['x'] },
    { id: 'b', tags: [] },
  ]
  const [a, b] = keep(make())
  const [sameA, otherB] = keep([
    { id: 'a', tags: ['x'] },
    { id: 'b', tags: ['y'] },
  ])
  expect(sameA).toBe(a)
  expect(otherB).not.toBe(b)
  keep([])
  expect(keep(make())[0]).not.toBe(a)
  expect(told).toEqual(['a x', 'b ', 'b y', 'a x', 'b '])
})
