// People who open a stack that sleeps, through a real HAProxy: how soon the waiting page is there while the app is slow to
// start, and how soon after the app listens a real Chromium shows it in place of that page.
import { setTimeout as delay } from 'node:timers/promises'
import { openPage } from '../chromium.mjs'
import { hostOf, openInn } from '../inn.mjs'
import { exchange, readText } from '../requests.mjs'
import { summarise } from '../statistics.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox', 'chromium']
const RELOADS = 30
const [VISITS, VISIT_EVERY_MS] = [400, 50]
/** The default of HOSTLER_WAKE_GRACE: for so long a page load waits for the app itself. */
const GRACE_MS = 400
const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', 'sec-fetch-mode': 'navigate' }

export async function measure({ cleanup, say }) {
  const inn = await openInn(cleanup, { name: 'waiting-page', env: { HOSTLER_WAKE_GRACE: `${GRACE_MS}ms` } })
  await inn.lodge('awaited', { env: ['START_MS=1500'] })
  await inn.lodge('slow', { env: ['START_MS=90000'] })
  await inn.open()
  await inn.settled(['awaited', 'slow'])
  const reloads = await reloadOften(inn, cleanup)
  say(`${reloads.length} reloads`)
  const visits = await visitOften(inn)
  return [
    {
      ...{ id: 'wake-reload', what: 'the app listens → a waiting Chromium has loaded it', unit: 'ms' },
      ...{ target: { of: 'p95', atMost: 300 }, figures: summarise(reloads) },
    },
    {
      what: 'waiting page, first byte while the start is slow',
      ...{ unit: 'ms', target: { of: 'p99', atMost: 50 }, figures: summarise(visits) },
      note: `whoever is first waits ${GRACE_MS} ms longer, in which the app itself may come`,
    },
  ]
}

async function reloadOften(inn, cleanup) {
  const page = await openPage(cleanup)
  const samples = []
  while (samples.length < RELOADS) {
    await page.goto(`http://${hostOf('awaited')}:${inn.port}/`)
    if ((await page.title()) === 'app') throw new Error('the app came without a waiting page')
    await page.waitForFunction(() => document.title === 'app' && document.readyState === 'complete')
    const shownAt = await page.evaluate(() => {
      const [{ domContentLoadedEventEnd }] = performance.getEntriesByType('navigation')
      return performance.timeOrigin + domContentLoadedEventEnd
    })
    samples.push(shownAt - Number(await readText(inn.target('awaited', '/listening'))))
    await inn.sleep('awaited')
  }
  return samples
}

/** @returns the milliseconds until the first byte of each but the first, which is a waiting page */
async function visitOften(inn) {
  await visitOnce(inn)
  const pending = []
  for (let visit = 0; visit < VISITS; visit++) {
    pending.push(visitOnce(inn))
    await delay(VISIT_EVERY_MS)
  }
  return Promise.all(pending)
}

async function visitOnce(inn) {
  const { status, body, firstByteMs } = await exchange({ ...inn.target('slow'), headers: BROWSER })
  if (status !== 503 || !body.includes('slow is waking up')) throw new Error(`no waiting page: ${status} ${body}`)
  return firstByteMs
}
