import { describe, expect, test } from '@jest/globals'
import { createTurnstile } from '../../../src/http/public/turnstile.js'
import type { Server } from '../../../src/model/plan.js'
import { createFakeClock } from '../../support/clock.js'
import { call, startApp, startPort } from '../../support/public-port.js'
import { until } from '../../support/wait.js'

const server = (more: Partial<Server> = {}): Server => ({
  name: 'a',
  address: '127.0.0.1',
  port: 80,
  options: [],
  instance: 'a',
  ...more,
})

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('a server that takes so many connections', () => {
  test.each([
    ['by its label', server({ maxconn: 2 })],
    ['by the option of its line', server({ options: ['check', 'maxconn 2'] })],
  ])('is given no more, known %s, and the next one when one ends, in the order of coming', async (_, of) => {
    const turnstile = createTurnstile(createFakeClock())
    const { signal } = new AbortController()
    const entered: number[] = []
    const leaves = await Promise.all([turnstile.enter(of, signal), turnstile.enter(of, signal)])
    for (const number of [3, 4])
      void turnstile.enter(of, signal).then((leave) => leaves.push(leave) && entered.push(number))
    await settled()
    expect(entered).toEqual([])
    leaves.shift()?.()
    await settled()
    expect(entered).toEqual([3])
    leaves.shift()?.()
    await settled()
    expect(entered).toEqual([3, 4])
    for (const leave of leaves) leave()
    await turnstile.enter(of, signal)
  })

  test('is waited for so long, and who leaves lets the others move up', async () => {
    const clock = createFakeClock()
    const turnstile = createTurnstile(clock)
    const of = server({ maxconn: 1 })
    const [gone, { signal }] = [new AbortController(), new AbortController()]
    const leave = await turnstile.enter(of, signal)
    const impatient = turnstile.enter(of, gone.signal)
    const patient = turnstile.enter(of, signal)
    gone.abort(new Error('gone'))
    await expect(impatient).rejects.toThrow('gone')
    leave()
    await patient
    const late = turnstile.enter(of, signal)
    void clock.pass(30_000)
    await expect(late).rejects.toMatchObject({ code: 'UPSTREAM_BUSY' })
    expect(clock.sleepers()).toBe(0)
  })

  test('that has none stated takes all', async () => {
    const turnstile = createTurnstile(createFakeClock())
    const { signal } = new AbortController()
    await Promise.all(Array.from({ length: 100 }, () => turnstile.enter(server(), signal)))
  })
})

test('two hundred who have waited for an app of three connections are three at a time before it', async () => {
  let [now, most] = [0, 0]
  const port = await startApp((_, response) => {
    most = Math.max(most, ++now)
    setImmediate(() => {
      now--
      response.end('ok')
    })
  })
  const to = await startPort({ shop: { port, labels: { maxconn: '3' } } })
  const waiting = Array.from({ length: 200 }, () => call({ to, host: 'shop.test' }))
  await until('all are held', () => to.server.held() === 200)
  to.wakeUp('shop')
  expect(new Set((await Promise.all(waiting)).map(({ body }) => body))).toEqual(new Set(['ok']))
  expect(most).toBeLessThanOrEqual(3)
})
