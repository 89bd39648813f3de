import { expect, test } from '@jest/globals'
import { createFakeClock } from '../../support/clock.js'
import { call, echo, startApp, startPort } from '../../support/public-port.js'
import { until } from '../../support/wait.js'

const BROWSER = { accept: 'text/html', 'sec-fetch-mode': 'navigate' }

test('page loads wait for the app until it has had its time, those that come later none of it', async () => {
  const clock = createFakeClock()
  const to = await startPort({ shop: { port: await startApp(echo) } }, { clock, settings: { grace: 10_000 } })
  const visit = () => {
    const seen: { status?: number } = {}
    const reply = call({ to, host: 'shop.test', headers: BROWSER }).then(({ status }) => {
      seen.status = status
    })
    return { seen, reply }
  }
  const first = visit()
  await until('the first one waits', () => to.server.held() === 1)
  await clock.pass(6000)
  const second = visit()
  await until('the second one waits', () => to.server.held() === 2)
  await clock.pass(3999)
  expect([first.seen.status, second.seen.status]).toEqual([undefined, undefined])
  await clock.pass(1)
  await Promise.all([first.reply, second.reply])
  expect([first.seen.status, second.seen.status]).toEqual([503, 503])

  const third = visit()
  await until('the third one has come', () => to.server.held() === 1)
  await clock.pass(0)
  await third.reply
  expect([third.seen.status, to.starts]).toEqual([503, ['shop']])
})
