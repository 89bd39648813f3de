import { describe, expect, test } from '@jest/globals'
import { formatStatus } from '../../src/cli/status.js'
import type { State } from '../../src/reconcile/state.js'
import {
  largeState,
  NOW,
  readyState,
  sampleBackend,
  sampleRoute,
  sampleServer,
  troubledState,
} from '../support/states.js'

const print = (state: State, width = 120): string => formatStatus(state, { color: false, width, now: NOW })

const plan = (more: Partial<State['plan']>): State => readyState({ plan: { ...readyState().plan, ...more } })

const STYLE = /\u001b\[\d+m/g

describe('hostler status', () => {
  test('prints one calm screen while all is well', () => {
    expect(print(readyState())).toBe(`Hostler 0.1.0  ready  up 3h 12m  domain ci.example.com

SOURCES
  ● docker  3 instances  read 2s ago

PROXIES
  ● haproxy  reload in 34 ms, 12s ago
             version 2.6.12, pid 4242, applies: 1 start, 4 reload, 20 nothing

CHANGES  the last 2 changes of haproxy
    WHEN        HOW       TOOK  WHAT
    12s ago     reload   34 ms  app-r2, because backend app-r2 is new, and no spare backend is like it: option httpchk
    3h 12m ago  start   204 ms  app-r1, b, c and 9 more

ROUTES  4 routes, 2 backends, 3 live, 0 waiting
    HOST/PATH                                  BACKEND  SERVERS
  ● app-r1.ci.example.com                      app-r1   2 live: app-r1-web-1 172.18.0.2:8080, app-r1-web-2
                                                        [fd00::2]:8080
  ● shop.ci.example.com/api (cookie beta=yes)  app-r1   2 live: app-r1-web-1 172.18.0.2:8080, app-r1-web-2
                                                        [fd00::2]:8080
  ● *.app-r1.ci.example.com                    app-r1   2 live: app-r1-web-1 172.18.0.2:8080, app-r1-web-2
                                                        [fd00::2]:8080
  ● app-r2.ci.example.com                      app-r2   1 live: app-r2-web-1 172.18.0.4:8080
`)
  })

  test('says what is wrong, why, and what to do, and ends with what was rejected', () => {
    expect(print(troubledState(), 0)).toBe(`Hostler 0.1.0  not ready  up 3h 12m  domain ci.example.com
  source rancher-metadata: cannot read http://rancher-metadata/2015-12-19: connection refused; its address is metadata.host
  proxy haproxy: the newest plan is not in force

SOURCES
  ● docker            3 instances   read 2s ago
  ✗ rancher-metadata  12 instances  read 5m ago; cannot read http://rancher-metadata/2015-12-19: connection refused; its address is metadata.host
  ○ file              0 instances   never read

PROXIES
  ✗ haproxy  reload failed: cannot bind *:80 (permission denied)
  ✗          left out app-r9: unknown keyword 'foo' in server line
             before that: reload in 34 ms, 12s ago
             version 2.6.12, pid 4242, applies: 1 start, 4 reload, 20 nothing, 2 failed

CHANGES  the last 2 changes of haproxy
    WHEN        HOW       TOOK  WHAT
    12s ago     reload   34 ms  app-r2, because backend app-r2 is new, and no spare backend is like it: option httpchk
    3h 12m ago  start   204 ms  app-r1, b, c and 9 more

ROUTES  5 routes, 3 backends, 3 live, 2 waiting
    HOST/PATH                                  BACKEND  SERVERS
  ● app-r1.ci.example.com                      app-r1   2 live: app-r1-web-1 172.18.0.2:8080, app-r1-web-2 [fd00::2]:8080
  ● shop.ci.example.com/api (cookie beta=yes)  app-r1   2 live: app-r1-web-1 172.18.0.2:8080, app-r1-web-2 [fd00::2]:8080
  ● *.app-r1.ci.example.com                    app-r1   2 live: app-r1-web-1 172.18.0.2:8080, app-r1-web-2 [fd00::2]:8080
  ● app-r2.ci.example.com                      app-r2   1 live: app-r2-web-1 172.18.0.4:8080
  ○ app-r3.ci.example.com                      app-r3   2 waiting: app-r3-web-1 starting, app-r3-web-2 unhealthy

IN PART  1 label honoured only in part
  ○ app-r7-web-1  hostler.weight = "900"  (stack app-r7, docker)
    is above 256
    Use 256.

REJECTED  2 labels not honoured
  ✗ app-r7-web-1  hostler.port = "abc"  (stack app-r7, docker)
    is not a port
    Write a number from 1 to 65535.
  ✗ evil-1  hostler.host = "<script>alert("1")</script>"  (stack app-r7, docker)
    is not a host name
    Use letters, digits, dashes and dots.
`)
  })

  test('tells a proxy that had nothing to take from one that took nothing yet', () => {
    const proxies = (settled: boolean) => [
      { name: 'traefik', settled, changes: [], applies: {}, failures: 0, refused: [], details: {} },
    ]
    expect(print(readyState({ proxies: proxies(true) }))).toContain('● traefik  in step since the start\n')
    const text = print(readyState({ proxies: proxies(false) }))
    expect(text).toContain('○ traefik  has taken nothing yet\n             applies: none\n')
  })

  test('colours nothing but what it prints anyway', () => {
    const colored = formatStatus(troubledState(), { color: true, width: 100, now: NOW })
    expect(colored).toMatch(STYLE)
    expect(colored.replace(STYLE, '')).toBe(print(troubledState(), 100))
  })

  test('keeps to the width of the terminal where words allow it', () => {
    for (const line of print(troubledState(), 110).split('\n')) expect(line.length).toBeLessThanOrEqual(110)
  })

  test('names three servers of many, and counts the rest', () => {
    const servers = Array.from({ length: 12 }, (_, index) => sampleServer(`w-${index + 1}`, '10.0.0.1', 80))
    expect(
      print(plan({ backends: [sampleBackend('app', { servers })], routes: [sampleRoute('a.b', 'app')] }), 0),
    ).toContain('12 live: w-1 10.0.0.1:80, w-2 10.0.0.1:80, w-3 10.0.0.1:80, 9 more')
  })

  test('shows a backend that no route leads to, and one that nobody serves', () => {
    const text = print(plan({ backends: [sampleBackend('lonely', { routes: [] })], routes: [] }))
    expect(text).toMatch(/✗ – +lonely {3}no instance\n/)
  })

  test('a backend that a proxy refuses does not look as if it were served', () => {
    const state = readyState()
    const refused = [{ backend: 'app-r2', reason: 'x' }]
    const text = print({ ...state, proxies: state.proxies.map((proxy) => ({ ...proxy, refused })) })
    expect(text).toMatch(/✗ app-r2\.ci\.example\.com +app-r2 +left out: haproxy refuses it\n/)
    expect(text).toMatch(/● app-r1\.ci\.example\.com /)
  })

  test('says so when there is nothing at all', () => {
    const text = print(
      readyState({ domain: '', sources: [], proxies: [], plan: { ...plan({ backends: [], routes: [] }).plan } }),
    )
    expect(text).toContain('Hostler 0.1.0  ready  up 3h 12m  no domain\n')
    expect(text).toContain('Nothing is routed yet')
    expect(text).not.toMatch(/SOURCES|PROXIES|REJECTED/)
  })

  test('lets no text of anybody steer the terminal', () => {
    const attack = 'x\u001b[2J\u001b]0;title\u0007\r\n\u202eevil'
    const poisoned = JSON.parse(JSON.stringify(troubledState()), (_, value) =>
      typeof value === 'string' ? value + attack : value,
    ) as State
    expect(print(poisoned)).not.toMatch(/[^\P{C}\n]/u)
  })

  test('prints ten thousand stacks, one line each', () => {
    expect(print(largeState(10_000)).split('\n').length).toBeGreaterThan(10_000)
  })
})
