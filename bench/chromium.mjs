import { chromium } from 'playwright-core'
import { findProgram } from '../scripts/servers.mjs'
import { DOMAIN } from './fleet.mjs'

/** A page of a Chromium of its own, for which every stack's host name is this machine. */
export async function openPage(cleanup) {
  const browser = await chromium.launch({
    executablePath: findProgram('chromium'),
    // It would end this process, before anything else is cleaned up.
    ...{ handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false },
    args: ['--no-sandbox', `--host-resolver-rules=MAP *.${DOMAIN} 127.0.0.1`],
  })
  cleanup.add(() => browser.close())
  return browser.newPage()
}
