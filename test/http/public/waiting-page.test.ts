import { expect, test } from '@jest/globals'
import type { Page } from 'playwright-core'
import { useBrowser } from '../../support/browser.js'
import { startApp, startPort } from '../../support/public-port.js'
import { describeWith } from '../../support/servers.js'
import { until } from '../../support/wait.js'

describeWith(['chromium'], 'the waiting page in a browser', () => {
  const browser = useBrowser()

  const app = () =>
    startApp((_, response) => {
      response.setHeader('content-type', 'text/html')
      response.end('<title>the shop</title><p>Here it is.')
    })

  /** How often a page was loaded. */
  function loads(page: Page): () => number {
    let count = 0
    page.on('request', (request) => {
      if (request.isNavigationRequest()) count++
    })
    return () => count
  }

  test('shows the steps of the start as they happen, and turns into the app when that is ready', async () => {
    const to = await startPort({ shop: { port: await app() } })
    const { page, complaints } = await browser.open()
    const count = loads(page)
    await page.goto(`http://shop.test:${to.port}/cart?item=1`)
    expect(await page.textContent('h1')).toBe('shop is waking up')
    to.step('shop', 'db', 'ready')
    await page.waitForSelector('li.ready')
    to.step('shop', 'web', 'probing')
    await page.waitForSelector('li.probing')
    expect(await page.locator('li').allTextContents()).toEqual([
      'shopstarting',
      'dbready',
      'webstarted, not answering yet',
    ])
    to.wakeUp('shop')
    await until('it shows the app', async () => (await page.title()) === 'the shop')
    expect([page.url(), count(), complaints]).toEqual([`http://shop.test:${to.port}/cart?item=1`, 2, []])
    await until('nobody follows any longer', () => to.followers('shop') === 0)
  })

  test('loads itself anew without scripts, and does not with them', async () => {
    const to = await startPort({ shop: { port: await app() } })
    const scripted = await browser.open()
    const plain = await browser.open({ javaScriptEnabled: false })
    const [scriptedLoads, plainLoads] = [loads(scripted.page), loads(plain.page)]
    await scripted.page.goto(`http://shop.test:${to.port}/`)
    await plain.page.goto(`http://shop.test:${to.port}/`)
    await until('the plain one has been loaded three times', () => plainLoads() === 3)
    expect(scriptedLoads()).toBe(1)
    to.wakeUp('shop')
    await until('the plain one shows the app', async () => (await plain.page.title()) === 'the shop')
    expect(plain.complaints).toEqual([])
  })

  test('turns into the reason when the start fails, and stays there', async () => {
    const to = await startPort({ shop: { port: await app() } })
    const { page, complaints } = await browser.open({ viewport: { width: 390, height: 844 } })
    await page.goto(`http://shop.test:${to.port}/`)
    to.fail('shop', 'its container ended with code 1')
    await page.waitForSelector('.reason')
    expect(await page.textContent('h1')).toBe('shop could not be started')
    expect(await page.textContent('.reason')).toBe('its container ended with code 1')
    expect(complaints).toEqual([])
  })

  test('asks anew when the start is called off', async () => {
    const to = await startPort({ shop: { port: await app() } })
    const { page } = await browser.open()
    await page.goto(`http://shop.test:${to.port}/`)
    await until('it follows', () => to.followers('shop') === 1)
    to.step('shop', 'web', 'probing')
    to.callOff('shop')
    await until('it is started again', () => to.starts.length === 2)
    to.wakeUp('shop')
    await until('it shows the app', async () => (await page.title()) === 'the shop')
  })

  test('comes back by itself after Hostler was away', async () => {
    const port = await app()
    const to = await startPort({ shop: { port } })
    const { page } = await browser.open()
    await page.goto(`http://shop.test:${to.port}/`)
    await until('it follows', () => to.followers('shop') === 1)
    await to.server.stop()
    const again = await startPort(
      { shop: { port, state: 'running' } },
      { listen: { host: '127.0.0.1', port: to.port } },
    )
    await until('it shows the app', async () => (await page.title()) === 'the shop')
    expect(again.starts).toEqual([])
  })

  test('shows what services are called as text, whatever they are called', async () => {
    const to = await startPort({ shop: { port: await app() } })
    const { page, complaints } = await browser.open()
    const name = `<img src=x onerror="document.title='bad'">`
    void to.waker.wake('shop')
    to.step('shop', name, 'starting')
    await page.goto(`http://shop.test:${to.port}/"><script>document.title='bad'</script>`)
    expect(await page.locator('li').nth(1).textContent()).toBe(`${name}starting`)
    to.step('shop', `${name}2`, 'waiting')
    await page.waitForSelector('li.waiting')
    expect(await page.locator('li').nth(2).textContent()).toBe(`${name}2waiting for another service`)
    expect([await page.locator('img').count(), await page.title(), complaints]).toEqual([0, 'shop is waking up', []])
    to.wakeUp('shop')
  })

  test('asks nobody but its own host for anything', async () => {
    const to = await startPort({ shop: { port: await app() } })
    const { page, complaints } = await browser.open({ colorScheme: 'dark' })
    const asked: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    await page.goto(`http://shop.test:${to.port}/a/b`)
    await until('it follows', () => to.followers('shop') === 1)
    for (const host of ['shop.test', 'nowhere.test']) await page.goto(`http://${host}:${to.port}/`)
    const own = asked.filter((url) => !url.startsWith('data:'))
    expect([...new Set(own.map((url) => new URL(url).pathname))].sort()).toEqual(['/', '/.hostler/wake-events', '/a/b'])
    expect(complaints).toEqual([])
  })
})
