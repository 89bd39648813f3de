import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { createPages, type PageContext, type PageName } from '../../../src/http/public/pages.js'
import { createFakeClock } from '../../support/clock.js'
import { tempDir } from '../../support/temp.js'

const HOSTILE = `"><script>alert('x')</script>{{host}}`

const context = (more: Partial<PageContext> = {}): PageContext => ({
  host: 'shop.test',
  domain: 'ci.example.com',
  stack: 'shop',
  status: 503,
  headline: 'shop is waking up',
  detail: 'why',
  retrySeconds: 3,
  waitedMs: 4200,
  waitedSeconds: 4,
  usualMs: 9000,
  usualSeconds: 9,
  steps: [{ service: 'db', what: 'ready', words: 'ready' }],
  eventsPath: '/.hostler/wake-events',
  ...more,
})
const NAMES: readonly PageName[] = ['waiting', 'failed', 'unavailable', 'not-found']

function theme() {
  const overlay = tempDir()
  mkdirSync(join(overlay, 'pages'))
  const lines: string[] = []
  const log = pino({ level: 'info' }, new Writable({ write: (line, _, done) => done(void lines.push(String(line))) }))
  const clock = createFakeClock()
  const write = (name: string, text: string) => writeFileSync(join(overlay, 'pages', name), text)
  return { overlay, lines, clock, write, pages: createPages({ overlay, log, clock }) }
}

describe('the pages', () => {
  test.each(NAMES)('%s: what comes from elsewhere stays text', (name) => {
    const { pages } = theme()
    const steps = [{ service: HOSTILE, what: HOSTILE, words: HOSTILE }]
    const hostile = { host: HOSTILE, domain: HOSTILE, headline: HOSTILE, detail: HOSTILE, eventsPath: HOSTILE, steps }
    const { html, policy } = pages.render(name, context(hostile))
    expect(html).toContain('&quot;&gt;&lt;script&gt;')
    expect(html).not.toContain("<script>alert('x')")
    expect(policy).toBe(pages.render(name, context()).policy)
  })

  test.each(NAMES)('%s: works with everything missing', (name) => {
    const { html } = theme().pages.render(
      name,
      context({
        domain: '',
        stack: null,
        detail: '',
        retrySeconds: null,
        usualMs: null,
        usualSeconds: null,
        steps: [],
        eventsPath: null,
      }),
    )
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/)
    expect(html).not.toMatch(/null|undefined|\{\{/)
  })

  test.each(NAMES)('%s: allows its own style and script, and nothing else', (name) => {
    const { html, policy } = theme().pages.render(name, context())
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; script-src ('none'|'sha256-[^']+'); /)
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    expect(html).not.toMatch(/ style=| on\w+=|(?:src|href)="(?!"|data:)/)
    expect(Buffer.byteLength(html)).toBeLessThan(10_000)
  })
})

describe('a theme', () => {
  test('replaces pages and parts of pages, with a policy of its own', () => {
    const { write, pages } = theme()
    write('waiting.html.hbs', '<style>p { color: red }</style><p>{{host}}</p><script>1</script>{{> ours}}')
    write('_ours.hbs', '<b>{{headline}}</b>')
    const { html, policy } = pages.render('waiting', context({ headline: '<i>' }))
    expect(html).toBe('<style>p { color: red }</style><p>shop.test</p><script>1</script><b>&lt;i&gt;</b>')
    const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
    expect(policy).toContain(`style-src ${hash('p { color: red }')}; script-src ${hash('1')};`)
    expect(pages.render('failed', context()).html).toContain('<h1>')
  })

  test('counts from the next second on, without a restart, and is gone when it is removed', () => {
    const { overlay, clock, write, pages } = theme()
    const title = () => /<p>theirs|<h1>/.exec(pages.render('not-found', context()).html)?.[0]
    expect(title()).toBe('<h1>')
    write('not-found.html.hbs', '<p>theirs {{host}}')
    expect(title()).toBe('<h1>')
    void clock.pass(1000)
    expect(title()).toBe('<p>theirs')
    rmSync(join(overlay, 'pages', 'not-found.html.hbs'))
    void clock.pass(1000)
    expect(title()).toBe('<h1>')
  })

  test.each([
    ['does not compile', '{{#if host}}'],
    ['names a field that does not exist', '{{hots}}'],
  ])('that %s is told of once, and our own page is shown', (_, text) => {
    const { lines, clock, write, pages } = theme()
    write('failed.html.hbs', text)
    for (let round = 0; round < 5; round++) {
      expect(pages.render('failed', context()).html).toContain('<h1>shop is waking up</h1>')
      void clock.pass(1000)
    }
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/template failed\.html\.hbs/)
  })
})
