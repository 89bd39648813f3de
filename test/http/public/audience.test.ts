import { describe, expect, test } from '@jest/globals'
import type { Ask } from '../../../src/http/public/ask.js'
import { createIgnorer, isPageLoad, prefersHtml } from '../../../src/http/public/audience.js'

const ask = (more: Partial<Ask> = {}): Ask => ({
  method: 'GET',
  host: 'shop.test',
  path: '/',
  query: '',
  cookie: undefined,
  hasBody: false,
  ...more,
})

const CHROMIUM = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8'
const FIREFOX = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'

describe('HTML is liked best', () => {
  test.each([
    CHROMIUM,
    FIREFOX,
    'text/html',
    'TEXT/HTML; charset=utf-8',
    'text/html, application/json',
    'application/json;q=0.5, text/html;q=0.6',
    'application/xhtml+xml',
    '*/*, text/html;q=0.1',
  ])('by %s', (accept) => expect(prefersHtml(accept)).toBe(true))

  test.each([
    undefined,
    '',
    '*/*',
    'text/*',
    'application/json',
    'application/json, text/plain, */*',
    'application/json, text/html',
    'text/html;q=0.5, application/json',
    'text/html;q=0',
    'text/html;q=2',
    'text/event-stream',
    'image/avif,image/webp,*/*;q=0.8',
    'text/htmlx',
    `${'a/b,'.repeat(50_000)}text/html`,
  ])('not by %.40s', (accept) => expect(prefersHtml(accept)).toBe(false))
})

describe('a page load', () => {
  test.each([
    ['a browser with TLS', {}, { 'sec-fetch-mode': 'navigate', accept: '*/*' }],
    ['a browser without', {}, { accept: CHROMIUM }],
    ['the text browser', {}, { accept: 'text/html, text/*;q=0.5, image/*' }],
  ])('is what %s does', (_, more, headers) => expect(isPageLoad(ask(more), headers)).toBe(true))

  test.each([
    ['a script', {}, { 'sec-fetch-mode': 'cors', accept: CHROMIUM }],
    ['an image', {}, { 'sec-fetch-mode': 'no-cors', accept: 'image/*' }],
    ['an old script', {}, { 'x-requested-with': 'XMLHttpRequest', accept: 'text/html, */*' }],
    ['a form', { method: 'POST', hasBody: true }, { 'sec-fetch-mode': 'navigate', accept: CHROMIUM }],
    ['a look at the headers', { method: 'HEAD' }, { 'sec-fetch-mode': 'navigate', accept: CHROMIUM }],
    ['curl', {}, { accept: '*/*', 'user-agent': 'curl/8' }],
    ['a query with a body', { hasBody: true }, { accept: 'text/html' }],
  ])('is not what %s does', (_, more, headers) => expect(isPageLoad(ask(more), headers)).toBe(false))
})

describe('what starts nothing', () => {
  const ignores = createIgnorer({
    ignoredPaths: ['/health', '/probes/*', '/a'],
    ignoredAgents: ['UptimeRobot', 'kube-probe/'],
  })

  test.each([
    ['/health', undefined],
    ['/probes/', undefined],
    ['/probes/a/b', 'curl'],
    ['/', 'Mozilla/5.0 (compatible; uptimerobot/2.0)'],
    ['/x', 'kube-probe/1.30'],
  ])('%s by %s', (path, agent) => expect(ignores(ask({ path }), agent)).toBe(true))

  test.each([
    ['/healthy', undefined],
    ['/health/', undefined],
    ['/probes', undefined],
    ['/x/health', undefined],
    ['/', 'uptime'],
    ['/', ''],
  ])('not %s by %s', (path, agent) => expect(ignores(ask({ path }), agent)).toBe(false))
})
