import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { afterAll } from '@jest/globals'
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

/** One Chromium for a suite; every name under `.test` is this machine. */
export interface TestBrowser {
  /** A page in a profile of its own, and what went wrong in it. */
  open(options?: BrowserContextOptions): Promise<{ page: Page; complaints: string[] }>
}

export function useBrowser(): TestBrowser {
  let launched: Promise<Browser> | undefined
  const contexts: BrowserContext[] = []
  const launch = () =>
    chromium.launch({
      executablePath: program('chromium'),
      args: ['--no-sandbox', '--host-resolver-rules=MAP *.test 127.0.0.1'],
    })
  afterAll(async () => {
    for (const context of contexts) await context.close()
    await (await launched)?.close()
  })
  return {
    async open(options = {}) {
      launched ??= launch()
      const context = await (await launched).newContext(options)
      contexts.push(context)
      const page = await context.newPage()
      const complaints: string[] = []
      page.on('pageerror', (error) => complaints.push(String(error)))
      // That a page is a 503 is what it is there to be.
      page.on('console', (line) => {
        if (line.type() === 'error' && !/the server responded with a status of/.test(line.text())) {
          complaints.push(line.text())
        }
      })
      return { page, complaints }
    },
  }
}

/** Playwright looks for none in PATH. */
function program(name: string): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const found = folders.map((folder) => join(folder, name)).find(existsSync)
  if (found === undefined) throw new Error(`${name} is not in PATH`)
  return found
}
