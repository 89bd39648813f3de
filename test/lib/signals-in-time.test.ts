import { expect, test } from '@jest/globals'
import { createDeferred } from '../../src/lib/deferred.js'
import { inTime } from '../../src/lib/signals.js'
import { createFakeClock } from '../support/clock.js'

function begin(signal = new AbortController().signal) {
  const clock = createFakeClock()
  const work = createDeferred<string>()
  const seen: { signal?: AbortSignal } = {}
  const result = inTime({ ms: 1000, clock }, signal, (given) => {
    seen.signal = given
    return work.promise
  })
  result.catch(() => undefined)
  return { clock, work, result, isOver: () => seen.signal?.aborted }
}

test('gives what is there in time, and leaves nothing behind', async () => {
  const { clock, work, result, isOver } = begin()
  expect(isOver()).toBe(false)
  work.resolve('done')
  expect(await result).toBe('done')
  expect([isOver(), clock.sleepers()]).toEqual([true, 0])
})

test('gives nothing when the time is over, and tells the work to end', async () => {
  const { clock, work, result, isOver } = begin()
  await clock.pass(1000)
  expect(await result).toBeUndefined()
  expect(isOver()).toBe(true)
  work.reject(new Error('nobody hears this'))
})

test('fails as the work does, or when it is called off', async () => {
  const failing = begin()
  failing.work.reject(new Error('no'))
  await expect(failing.result).rejects.toThrow('no')
  const ending = new AbortController()
  const { clock, result, work, isOver } = begin(ending.signal)
  ending.abort(new Error('enough'))
  expect(isOver()).toBe(true)
  await expect(result).rejects.toThrow('enough')
  expect(clock.sleepers()).toBe(0)
  work.resolve('too late')
  await expect(begin(ending.signal).result).rejects.toThrow('enough')
})
