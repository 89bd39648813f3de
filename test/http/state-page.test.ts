import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createMetrics } from '../../src/http/metrics.js'
import { html } from '../../src/http/pages/html.js'
import { PAGE_POLICY, statePage } from '../../src/http/pages/state-page.js'
import { createPrivateServer } from '../../src/http/private-server.js'
import { silentLogger } from '../../src/lib/logger.js'
import type { State } from '../../src/reconcile/state.js'
import { samplePreview } from '../support/previews.js'
import { NOW, readyState, sampleBackend, sampleRoute, troubledState } from '../support/states.js'

/** What a person reads: the text of the page without markup. */
const readable = (state: State): string =>
  statePage(state, NOW)
    .replace(/<style>[\s\S]*?<\/style>|<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')

const plan = (more: Partial<State['plan']>): State => readyState({ plan: { ...readyState().plan, ...more } })

describe('the page', () => {
  test('says at the top whether all is well', () => {
    expect(readable(readyState())).toContain('Hostler ready ci.example.com version 0.1.0, up 3h 12m')
    expect(readable(troubledState())).toContain('Hostler not ready ci.example.com')
    expect(readable(troubledState())).toContain('Why it is not ready 2 source rancher-metadata: cannot read')
  })

  test('links each route to where a browser finds it, and a wildcard nowhere', () => {
    const page = statePage(readyState({ entrance: { scheme: 'https', port: 8443 } }), NOW)
    expect(page).toContain(
      '<a href="https://shop.ci.example.com:8443/api" rel="noreferrer">shop.ci.example.com/api</a>',
    )
    expect(page).toContain('<div>*.app-r1.ci.example.com</div>')
    expect(statePage(readyState({ entrance: { scheme: 'https', port: 443 } }), NOW)).toContain(
      'href="https://app-r2.ci.example.com/"',
    )
    expect(statePage(readyState(), NOW)).toContain('href="http://app-r2.ci.example.com/"')
  })

  test('shows who answers, who waits and why, and that nobody is there', () => {
    const text = readable(troubledState())
    expect(text).toContain('app-r1 sticky app-r1-web-1 172.18.0.2:8080 app-r1-web-2 [fd00::2]:8080')
    expect(text).toContain('app-r3 h2c app-r3-web-1 starting app-r3-web-2 unhealthy')
    expect(readable(plan({ backends: [sampleBackend('lonely')] }))).toContain('lonely no instance')
  })

  test('shows each rejection with container, label, value, reason and remedy', () => {
    expect(readable(troubledState())).toContain(
      'app-r7-web-1 app-r7, docker hostler.port = abc is not a port Write a number from 1 to 65535.',
    )
  })

  test('shows what a proxy did last, what it refused, and what a source last said', () => {
    const text = readable(troubledState())
    expect(text).toContain('reload in 34 ms, 12s ago reload failed: cannot bind *:80')
    expect(text).toContain(
      'Last changes of haproxy 2 reload 34 ms, 12s ago app-r2 because backend app-r2 is new, and no spare backend is like it: option httpchk start 204 ms, 3h 12m ago app-r1, b, c and 9 more',
    )
    expect(text).toContain('left out app-r9: unknown keyword &#39;foo&#39;')
    expect(text).toContain('docker 3 instances, read 2s ago rancher-metadata 12 instances, read 5m ago cannot read')
    expect(text).toContain('file 0 instances, never read')
  })

  test('a backend that a proxy refuses does not look as if it were served', () => {
    const state = readyState()
    const refused = [{ backend: 'app-r2', reason: 'x' }]
    const text = readable({ ...state, proxies: state.proxies.map((proxy) => ({ ...proxy, refused })) })
    expect(text).toContain('app-r2 left out: haproxy refuses it')
  })

  test('tells a newcomer with no routes what to do', () => {
    const text = readable(plan({ backends: [], routes: [] }))
    expect(text).toContain('Nothing is routed yet. A container takes part when it has the label hostler.port')
  })
})

describe('safety of the page', () => {
  test('no text of anybody becomes markup', () => {
    expect(statePage(troubledState(), NOW)).not.toContain('<script')
    const hostile = fc
      .array(fc.constantFrom('<', '>', '"', "'", '&', '=', '/', 'a', ' ', '\u202e', '\u001b'))
      .map((all) => all.join(''))
    fc.assert(
      fc.property(hostile, (text) => {
        const { text: page } = html`<p title="${text}">${text}</p>`
        const [, attribute = '', content = ''] = /^<p title="([^"]*)">([^<]*)<\/p>$/.exec(page) ?? []
        expect(page).not.toMatch(/[\u202e\u001b]/)
        expect(attribute).toBe(content)
      }),
    )
  })

  test('hostile values in every field of the state leave the same elements on the page', () => {
    const tags = (state: State) => statePage(state, NOW).match(/<[a-z]+/g)?.length
    const attack = '"><img src=x onerror=alert(1)>'
    const poisoned = JSON.parse(JSON.stringify(troubledState()), (key, value) =>
      typeof value === 'string' && key !== 'scheme' ? value + attack : value,
    ) as State
    const backends = poisoned.plan.backends.map((backend, index) => ({
      ...backend,
      scheme: troubledState().plan.backends[index]?.scheme ?? 'http',
    }))
    expect(tags({ ...poisoned, plan: { ...poisoned.plan, backends } })).toBe(tags(troubledState()))
  })

  test('the policy allows the one style sheet and nothing else', async () => {
    const { app } = createPrivateServer({
      listen: { host: '127.0.0.1', port: 0 },
      state: readyState,
      preview: async () => samplePreview(),
      metrics: createMetrics(),
      log: silentLogger(),
    })
    const reply = await app.inject('/')
    const [, style = ''] = /<style>([\s\S]*)<\/style>/.exec(reply.body) ?? []
    expect(reply.headers['content-security-policy']).toBe(PAGE_POLICY)
    expect(PAGE_POLICY).toContain(`'sha256-${createHash('sha256').update(style).digest('base64')}'`)
    expect(PAGE_POLICY).toMatch(/^default-src 'none';/)
    expect(reply.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
    expect(reply.body).not.toMatch(
      / style="| on[a-z]+="|<script|https?:\/\/(?![a-z0-9.-]*ci\.example\.com|www\.w3\.org)/,
    )
  })
})

test('a path becomes part of the link as it stands', () => {
  const routes = [sampleRoute('a.example.com', 'a', { path: "/x&y='z'" })]
  const page = statePage(plan({ backends: [sampleBackend('a', { routes })] }), NOW)
  expect(page).toContain('href="http://a.example.com/x&amp;y=&#39;z&#39;"')
})
