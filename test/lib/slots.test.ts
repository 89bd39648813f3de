import { expect, test } from '@jest/globals'
import { createDeferred } from '../../src/lib/deferred.js'
import { createSlots } from '../../src/lib/slots.js'

const patient = new AbortController().signal
const settled = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('so many at once, the others in the order in which they came, whether work succeeds or fails', async () => {
  const slots = createSlots(2)
  const work = [createDeferred(), createDeferred(), createDeferred(), createDeferred()]
  const began: number[] = []
  const results = work.map(({ promise }, index) =>
    slots.take(() => {
      began.push(index)
      return promise
    }, patient),
  )
  await settled()
  expect(began).toEqual([0, 1])
  work[1]?.reject(new Error('no'))
  await expect(results[1]).rejects.toThrow('no')
  await settled()
  expect(began).toEqual([0, 1, 2])
  for (const one of work) one.resolve()
  await Promise.all([results[0], results[2], results[3]])
  expect(began).toEqual([0, 1, 2, 3])
})

test('who gives up before his turn leaves the queue, and the next one moves up', async () => {
  const slots = createSlots(1)
  const first = createDeferred()
  const running = slots.take(() => first.promise, patient)
  const impatient = new AbortController()
  const second = slots.take(async () => 'second', impatient.signal)
  const third = slots.take(async () => 'third', patient)
  impatient.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  first.resolve()
  await running
  expect(await third).toBe('third')
  expect(await slots.take(async () => 'free again', patient)).toBe('free again')
})
