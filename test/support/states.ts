import type { Backend, Rejection, Route } from '../../src/model/plan.js'
import type { State } from '../../src/reconcile/state.js'

/** The moment at which the sample states are looked at. */
export const NOW = Date.UTC(2026, 10, 21, 12, 0, 0)

const MINUTE_MS = 60_000

export function sampleRoute(host: string, backend: string, more: Partial<Route> = {}): Route {
  const wildcard = host.startsWith('*.')
  return { host, wildcard, path: '/', stripPath: false, cookie: null, priority: 100, backend, stack: backend, ...more }
}

export function sampleBackend(name: string, more: Partial<Backend> = {}): Backend {
  const routes = [sampleRoute(`${name}.ci.example.com`, name)]
  const common = { name, stack: name, service: 'web', group: name, scheme: 'http', sticky: false, held: false } as const
  return { ...common, routes, servers: [], waiting: [], ...more }
}

export const sampleServer = (instance: string, address: string, port = 8080) => ({
  name: instance,
  address,
  port,
  options: [],
  instance,
})

export const sampleRejection = (more: Partial<Rejection> = {}): Rejection => ({
  source: 'docker',
  container: 'app-r7-web-1',
  stack: 'app-r7',
  label: 'hostler.port',
  value: 'abc',
  reason: 'is not a port',
  remedy: 'Write a number from 1 to 65535.',
  ...more,
})

/** Everything is well: two stacks, one server each. */
export function readyState(more: Partial<State> = {}): State {
  const backends = [
    sampleBackend('app-r1', {
      routes: [
        sampleRoute('app-r1.ci.example.com', 'app-r1'),
        sampleRoute('shop.ci.example.com', 'app-r1', { path: '/api', cookie: { name: 'beta', value: 'yes' } }),
        sampleRoute('*.app-r1.ci.example.com', 'app-r1'),
      ],
      servers: [sampleServer('app-r1-web-1', '172.18.0.2'), sampleServer('app-r1-web-2', 'fd00::2')],
      sticky: true,
    }),
    sampleBackend('app-r2', { servers: [sampleServer('app-r2-web-1', '172.18.0.4')] }),
  ]
  return {
    version: '0.1.0',
    startedAt: NOW - 192 * MINUTE_MS,
    domain: 'ci.example.com',
    problems: [],
    sources: [{ name: 'docker', instances: 3, updatedAt: NOW - 2_000 }],
    proxies: [
      {
        name: 'haproxy',
        settled: true,
        changes: [
          {
            at: NOW - 12_000,
            how: 'reload',
            ms: 33.6,
            backends: { count: 1, first: ['app-r2'] },
            files: ['/h/haproxy-backends.cfg', '/h/domain.map'],
            why: 'backend app-r2 is new, and no spare backend is like it: option httpchk',
          },
          {
            at: NOW - 192 * MINUTE_MS,
            how: 'start',
            ms: 204.1,
            backends: { count: 12, first: ['app-r1', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'] },
            files: ['/h/haproxy-backends.cfg', '/h/domain.map'],
          },
        ],
        applies: { start: 1, reload: 4, nothing: 20 },
        failures: 0,
        refused: [],
        details: { version: '2.6.12', pid: 4242 },
      },
    ],
    plan: { backends, routes: backends.flatMap(({ routes }) => routes), rejections: [], warnings: [] },
    ...more,
  }
}

/** Everything that can be wrong at once: a source and a proxy with errors, waiting instances, rejections. */
export function troubledState(): State {
  const ready = readyState()
  const sleepy = sampleBackend('app-r3', {
    scheme: 'h2c',
    waiting: [
      { instance: 'app-r3-web-1', reason: 'starting' },
      { instance: 'app-r3-web-2', reason: 'unhealthy' },
    ],
  })
  const error = 'cannot read http://rancher-metadata/2015-12-19: connection refused; its address is metadata.host'
  const backends = [...ready.plan.backends, sleepy]
  return {
    ...ready,
    problems: [`source rancher-metadata: ${error}`, 'proxy haproxy: the newest plan is not in force'],
    sources: [
      ...ready.sources,
      { name: 'rancher-metadata', instances: 12, updatedAt: NOW - 5 * MINUTE_MS, error },
      { name: 'file', instances: 0 },
    ],
    proxies: ready.proxies.map((proxy) => ({
      ...proxy,
      error: 'reload failed: cannot bind *:80 (permission denied)',
      failures: 2,
      refused: [{ backend: 'app-r9', reason: "unknown keyword 'foo' in server line" }],
    })),
    plan: {
      backends,
      routes: backends.flatMap(({ routes }) => routes),
      rejections: [
        sampleRejection(),
        sampleRejection({
          container: 'evil-1',
          label: 'hostler.host',
          value: '<script>alert("1")</script>',
          reason: 'is not a host name',
          remedy: 'Use letters, digits, dashes and dots.',
        }),
      ],
      warnings: [
        sampleRejection({ label: 'hostler.weight', value: '900', reason: 'is above 256', remedy: 'Use 256.' }),
      ],
    },
  }
}

/** A state of `count` stacks, for what must work at size. */
export function largeState(count: number): State {
  const backends = Array.from({ length: count }, (_, index) =>
    sampleBackend(`app-r${index}`, { servers: [sampleServer(`app-r${index}-web-1`, '10.0.0.1')] }),
  )
  return readyState({ plan: { ...readyState().plan, backends, routes: backends.flatMap(({ routes }) => routes) } })
}
