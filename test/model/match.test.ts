import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Instance } from '../../src/model/instance.js'
import { type Asked, createMatcher } from '../../src/model/match.js'
import type { Plan, Route } from '../../src/model/plan.js'
import { createPlanner } from '../../src/model/planner.js'
import { ruleOf } from '../../src/model/traefik-rule.js'
import { instance, rules } from '../support/instances.js'

const planOf = (...instances: Instance[]): Plan => createPlanner(rules)(instances)

describe('the route of a request', () => {
  const plan = planOf(
    instance('shop', { port: '80', host: 'shop.test' }),
    instance('api', { port: '80', host: 'shop.test', path: '/api' }),
    instance('beta', { port: '80', host: 'shop.test', cookie: 'channel=beta' }),
    instance('any', { port: '80', host: '*.shop.test' }),
    instance('one', { port: '80', host: 'one.shop.test', path: '/only' }),
  )
  const match = createMatcher()
  const to = (host: string, path = '/', cookie?: string) => match(plan, { host, path, cookie })?.backend.name

  test.each([
    ['SHOP.Test', 'in any case'],
    ['shop.test:8080', 'with a port'],
    ['shop.test:', 'with an empty port'],
    ['shop.test.', 'with a dot at the end'],
    ['Shop.test.:80', 'with all of these'],
  ])('is found for the host %s, %s', (host) => expect(to(host)).toBe('shop'))

  test.each([
    ['/api', 'api'],
    ['/api/', 'api'],
    ['/api/v1', 'api'],
    ['/api//', 'api'],
    ['/apix', 'shop'],
    ['/API', 'shop'],
    ['/%61pi', 'shop'],
    ['//api', 'shop'],
    ['*', 'shop'],
  ])('of the path %s is %s: prefixes are whole segments', (path, name) => expect(to('shop.test', path)).toBe(name))

  test.each([
    ['channel=beta', 'beta'],
    ['a=b; channel=beta ;c=d', 'beta'],
    ['channel=alpha; channel=beta', 'beta'],
    ['channel=betas', 'shop'],
    ['xchannel=beta', 'shop'],
    ['Channel=beta', 'shop'],
    ['channel="beta"', 'shop'],
    ['channel', 'shop'],
    ['=; ;;', 'shop'],
  ])('with the cookie %s is %s', (cookie, name) => expect(to('shop.test', '/', cookie)).toBe(name))

  test.each([
    ['a.shop.test', '/', 'any'],
    ['a.b.shop.test', '/', undefined],
    ['.shop.test', '/', undefined],
    ['one.shop.test', '/only/x', 'one'],
    ['one.shop.test', '/other', 'any'],
    ['nowhere.test', '/', undefined],
    ['', '/', undefined],
    ['__proto__', '/', undefined],
  ])('%p%s leads to %s', (host, path, name) => expect(to(host, path)).toBe(name))

  test('a host that no name can be as long as is looked for nowhere', () => {
    expect(to(`${'.'.repeat(1_000_000)}x`)).toBeUndefined()
  })
})

const host = fc.constantFrom('a.test', 'b.test', 'x.a.test', '*.test', '*.a.test')
const path = fc.constantFrom('/', '/a', '/a/b', '/a/b/c', '/ab', '/b', '/a//b')
const cookie = fc.option(fc.constantFrom('c=1', 'c=2', 'd=1'), { nil: undefined })
const priority = fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined })
const wishes = fc.array(fc.record({ host, path, cookie, priority }), { maxLength: 14 })
const request = fc.record({
  host: fc.constantFrom('a.test', 'B.test:80', 'c.test.', 'x.a.test', 'y.a.test', 'x.y.a.test', 'other', '*.test'),
  path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/a/b/c/d', '/ab', '/abc', '/b/x', '/c', '/a//b/', '*', '//a'),
  cookie: fc.option(fc.constantFrom('c=1', 'c=3', 'd=1;c=2', 'e=5; d=1', 'c=2; c=1', ''), { nil: undefined }),
})

const planned = (labels: readonly Record<string, string | number | undefined>[]): Plan =>
  planOf(...labels.map((each, index) => instance(`i${index}`, defined({ port: '80', ...each }))))

const defined = (labels: Record<string, string | number | undefined>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).flatMap(([key, value]) => (value === undefined ? [] : [[key, `${value}`]])))

describe('whatever the plan', () => {
  test('it is what trying every route in order gives', () => {
    const match = createMatcher()
    fc.assert(
      fc.property(wishes, fc.array(request, { minLength: 1, maxLength: 20 }), (labels, requests) => {
        const plan = planned(labels)
        for (const asked of requests) expect(match(plan, asked)?.route).toBe(byTrying(plan.routes, asked))
      }),
      { numRuns: 1000 },
    )
  })

  test("it is what Traefik's rules say", () => {
    const match = createMatcher()
    fc.assert(
      fc.property(wishes, request, (labels, asked) => {
        const plan = planned(labels)
        expect(match(plan, asked)?.route).toBe(plan.routes.find((route) => obeys(ruleOf(route), asked)))
      }),
      { numRuns: 500 },
    )
  })

  function byTrying(routes: readonly Route[], { host, path, cookie = '' }: Asked): Route | undefined {
    const name = host.toLowerCase().split(':')[0]?.replace(/\.$/, '') ?? ''
    return routes.find(
      (route) =>
        (route.host === name || (route.wildcard && route.host === `*.${name.split('.').slice(1).join('.')}`)) &&
        (route.path === '/' || `${path}/`.startsWith(`${route.path}/`)) &&
        (!route.cookie || cookie.split(/; */).includes(`${route.cookie.name}=${route.cookie.value}`)),
    )
  }

  /** Tries a rule as Traefik would. */
  function obeys(rule: string, { host, path, cookie = '' }: Asked): boolean {
    const name = host.toLowerCase().replace(/:\d+$/, '')
    const terms: Readonly<Record<string, (text: string) => boolean>> = {
      Host: (text) => name.replace(/\.$/, '') === text,
      HostRegexp: (text) => new RegExp(text).test(name),
      Path: (text) => path === text,
      PathPrefix: (text) => path.startsWith(text),
      Cookie: (text) => new RegExp(text).test(cookie),
    }
    const parts = rule.replace('HeaderRegexp(`Cookie`, ', 'Cookie(').matchAll(/(\w+)\(`([^`]*)`\)/g)
    const results = [...parts].map(([, term = '', text = '']) => ({ term, holds: terms[term]?.(text) ?? false }))
    const paths = results.filter(({ term }) => term.startsWith('Path'))
    return (
      results.every(({ term, holds }) => term.startsWith('Path') || holds) &&
      (paths.length === 0 || paths.some(({ holds }) => holds))
    )
  }
})

describe('ten thousand routes', () => {
  /** Counts how many routes are looked at, which is what would make it slow. */
  function watched(labels: (index: number) => Record<string, string>): { plan: Plan; reads: () => number } {
    const plan = planOf(...Array.from({ length: 10_000 }, (_, index) => instance(`s${index}`, labels(index))))
    let reads = 0
    const routes = plan.routes.map(
      (route) =>
        new Proxy(route, {
          get(target, key) {
            reads++
            return Reflect.get(target, key)
          },
        }),
    )
    return { plan: { ...plan, routes }, reads: () => reads }
  }

  test.each([
    ['on hosts of their own', (index: number) => ({ port: '80', host: `s${index}.test` }), { host: 's7000.test' }],
    ['on the paths of one host', (index: number) => ({ port: '80', host: 'a.test', path: `/p/s${index}` }), {}],
    ['on the cookies of one host', (index: number) => ({ port: '80', host: 'a.test', cookie: `c=s${index}` }), {}],
  ])('%s: one is found without looking at the others', (_, labels, more) => {
    const { plan, reads } = watched(labels)
    const match = createMatcher()
    const asked = { host: 'a.test', path: '/p/s7000/x', cookie: 'b=1; c=s7000', ...more }
    expect(match(plan, asked)?.backend.name).toBe('s7000')
    const before = reads()
    const amended = { ...plan, backends: [...plan.backends] }
    for (let round = 0; round < 100; round++) expect(match(amended, asked)?.backend.name).toBe('s7000')
    expect(reads() - before).toBeLessThanOrEqual(100 * 6)
  })

  test('a container that a cookie names is found at any host that nobody has', () => {
    const direct = { ...rules.direct, cookieRouting: true }
    const facts = [instance('home', { port: '80', host: 'home.test' }), instance('minion', { port: '80' })]
    const [home, minion] = facts as [Instance, Instance]
    const spawned = { ...minion, labels: { ...minion.labels, origin: 'spawner' } }
    const plan = createPlanner({ ...rules, direct })([home, spawned])
    const match = createMatcher()
    const to = (host: string, cookie?: string) => match(plan, { host, path: '/x', cookie })?.backend.name
    expect(to('anywhere.test', 'a=b; instance=minion')).toBe('minion')
    expect(to('', 'instance=minion')).toBe('minion')
    expect(to('home.test', 'instance=minion')).toBe('home')
    expect(to('anywhere.test', 'instance=other')).toBeUndefined()
  })

  test('a header full of cookies is looked through once', () => {
    const plan = planned(
      Array.from({ length: 50 }, (_, index) => ({ host: 'a.test', path: '/a'.repeat(index + 1), cookie: 'c=1' })),
    )
    const cookie = `${'c=2; '.repeat(20_000)}c=1`
    expect(createMatcher()(plan, { host: 'a.test', path: '/a'.repeat(500), cookie })?.route.path).toBe('/a'.repeat(50))
  })
})
