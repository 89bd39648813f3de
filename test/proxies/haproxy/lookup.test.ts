import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Route } from '../../../src/model/plan.js'
import { createPlanner } from '../../../src/model/planner.js'
import { createLookup, type Entry, type Lookup } from '../../../src/proxies/haproxy/lookup.js'
import { instance, rules } from '../../support/instances.js'

interface Request {
  readonly host: string
  readonly path: string
  readonly cookie?: { readonly name: string; readonly value: string } | undefined
}

/** What a proxy does that tries every rule in order. */
function byTrying(routes: readonly Route[], request: Request): string | undefined {
  return routes.find(
    (route) =>
      [request.host, `*.${request.host.split('.').slice(1).join('.')}`, '*'].includes(route.host) &&
      (route.path === '/' || request.path === route.path || request.path.startsWith(`${route.path}/`)) &&
      (!route.cookie || (route.cookie.name === request.cookie?.name && route.cookie.value === request.cookie.value)),
  )?.backend
}

/** What HAProxy does with the maps. */
function byLookup(lookup: Lookup, { host, path, cookie }: Request): string | undefined {
  for (const name of [host, host.replace(/^[^.]+/, '*'), '*']) {
    const url = `${name}${path}/`
    const withCookie =
      cookie && lookup.cookieNames.includes(cookie.name) ? `${cookie.name}=${cookie.value}|${url}` : undefined
    const found =
      (withCookie && longest(lookup.cookies, withCookie)) ??
      longest(lookup.paths, url) ??
      lookup.domains.find(({ host }) => host === name)?.backend
    if (found) return found
  }
  return undefined
}

const longest = (entries: readonly Entry[], text: string): string | undefined =>
  entries.filter(({ key }) => text.startsWith(key)).sort((a, b) => b.key.length - a.key.length)[0]?.backend

const host = fc.constantFrom('a.test', 'b.test', 'x.a.test', '*.test', '*.a.test')
const path = fc.constantFrom('/', '/a', '/a/b', '/a/b/c', '/ab', '/b')
const cookie = fc.option(fc.constantFrom('c=1', 'c=2'), { nil: undefined })
const wish = fc.record({ host, path, cookie, priority: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }) })

describe('looking routes up', () => {
  test('gives what trying every route in the order of the plan gives', () => {
    const request = fc.record({
      host: fc.constantFrom('a.test', 'b.test', 'c.test', 'x.a.test', 'y.a.test', 'x.y.a.test', 'other'),
      path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/a/b/c/d', '/ab', '/abc', '/b/x', '/c'),
      cookie: fc.option(fc.record({ name: fc.constantFrom('c', 'd'), value: fc.constantFrom('1', '2', '3') }), {
        nil: undefined,
      }),
    })
    fc.assert(
      fc.property(
        fc.array(wish, { maxLength: 12 }),
        fc.array(request, { minLength: 1, maxLength: 20 }),
        (wishes, requests) => {
          const { routes } = createPlanner(rules)(
            wishes.map((labels, index) => instance(`i${index}`, withoutUndefined({ port: '80', ...labels }))),
          )
          const lookup = createLookup(routes)
          for (const one of requests) expect(byLookup(lookup, one)).toBe(byTrying(routes, one))
        },
      ),
      { numRuns: 500 },
    )
  })

  test('priorities alone tell the order of the routes of one host', () => {
    fc.assert(
      fc.property(fc.array(wish, { maxLength: 12 }), (wishes) => {
        const { routes } = createPlanner(rules)(
          wishes.map((labels, index) => instance(`i${index}`, withoutUndefined({ port: '80', ...labels }))),
        )
        routes.forEach((route, index) => {
          const next = routes[index + 1]
          if (next?.host === route.host) expect(route.priority).toBeGreaterThan(next.priority)
        })
      }),
    )
  })
})

const withoutUndefined = (labels: Record<string, string | number | undefined>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(labels).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]])),
  )
