import type { ProxyPreview, StatePreview } from '../../src/reconcile/preview.js'

/** What a proxy that has everything says of what comes next. */
export const calmProxy = (more: Partial<ProxyPreview> = {}): ProxyPreview => ({
  name: 'haproxy',
  how: 'nothing',
  steps: [],
  files: [],
  refused: [],
  ...more,
})

export const samplePreview = (...proxies: ProxyPreview[]): StatePreview => ({
  version: '0.1.0',
  domain: 'ci.example.com',
  problems: [],
  proxies: proxies.length === 0 ? [calmProxy()] : proxies,
})
