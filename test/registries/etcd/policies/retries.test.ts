import { afterEach, describe, expect, test } from '@jest/globals'
import { createRetries } from '../../../../src/registries/etcd/policies/retries.js'
import { createFakeClock } from '../../../support/clock.js'

describe('what is tried again', () => {
  let stop: () => Promise<void> = async () => undefined
  afterEach(() => stop())

  function start() {
    const clock = createFakeClock()
    const retries = createRetries({ clock, firstMs: 1000, maxMs: 4000 })
    const end = new AbortController()
    let calls = 0
    const running = retries.run(() => calls++, end.signal)
    stop = async () => {
      end.abort()
      await running
    }
    return { ...retries, clock, calls: () => calls }
  }

  test('is due ever later, up to a limit, and at once from the beginning after it has settled', async () => {
    const { failed, settled, isDue, clock } = start()
    for (const ms of [1000, 2000, 4000, 4000]) {
      failed('a')
      await clock.pass(ms * 0.7)
      expect(isDue('a')).toBe(false)
      await clock.pass(ms * 0.3)
      expect(isDue('a')).toBe(true)
    }
    settled('a')
    expect(isDue('a')).toBe(false)
    failed('a')
    await clock.pass(1000)
    expect(isDue('a')).toBe(true)
  })

  test('is called for once each time, and stays due until it was tried', async () => {
    const { failed, isDue, clock, calls } = start()
    failed('a')
    failed('b')
    await clock.pass(1000)
    await clock.pass(100_000)
    expect([calls(), isDue('a'), isDue('b')]).toEqual([1, true, true])
    failed('a')
    await clock.pass(2000)
    expect([calls(), isDue('a'), isDue('b')]).toEqual([2, true, true])
  })

  test('is due at once when others were in its way', async () => {
    const { postponed, isDue, clock, calls } = start()
    await clock.pass(0)
    postponed('a')
    await clock.pass(0)
    expect([calls(), isDue('a')]).toEqual([1, true])
  })
})
