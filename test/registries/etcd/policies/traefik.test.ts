import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createWishReader } from '../../../../src/model/reader.js'
import { traefik } from '../../../../src/registries/etcd/policies/traefik.js'
import { instance, rules } from '../../../support/instances.js'

interface Names {
  readonly environment: string | undefined
  readonly stack: string
  readonly service: string
  /** Empty: the container's own. */
  readonly route: string
}

const policy = traefik({
  ...{ read: createWishReader(rules), rules, address: '', entryPoints: ['web'], tlsEntryPoints: ['websecure'] },
  certResolver: '',
})

/** Routers, services and middlewares that one container of these names writes; what is below them is left out. */
function partsOf({ environment, stack, service, route }: Names): string[] {
  const prefix = route === '' ? '' : `routes.${route}.`
  const asked = { port: '80', host: 'a.example', path: '/x', 'strip-path': 'true' }
  const labels = Object.entries(asked).map(([label, value]) => [`hostler.${prefix}${label}`, value])
  const one = instance('one', Object.fromEntries(labels), { stack, service, ...(environment && { environment }) })
  const parts = policy.nodes(one, {}).map(([path]) => path.split('/').slice(3, 5).join('/'))
  return [...new Set(parts.map((part) => part.toLowerCase()))]
}

const names = (stack: string, service: string, route = '', environment?: string): Names => ({
  ...{ environment, stack, service, route },
})

describe('names for Traefik in etcd', () => {
  test.each([
    ['a stack and its service', names('shop', 'web'), /^shop-web$/],
    ['a route of its own', names('shop', 'web', 'admin'), /^shop-web-admin$/],
    ['names with a hyphen', names('my-shop', 'web-api'), /^my--shop-web--api$/],
    ['other characters', names('My Shop', 'web.api'), /^my-shop-web-api---[0-9a-f]{16}$/],
    ['an environment', names('shop', 'web', '', 'Production'), /^shop-web---[0-9a-f]{16}$/],
  ])('are readable for %s', (_what, given, expected) => {
    const services = partsOf(given).flatMap((part) => /^services\/(.*)/.exec(part)?.[1] ?? [])
    expect(services).toEqual([expect.stringMatching(expected)])
  })

  const name = fc.string({ unit: fc.constantFrom('a', '0', '-', '_', 'A', '.'), minLength: 1, maxLength: 5 })
  const any = fc.record<Names>({
    environment: fc.constantFrom(undefined, undefined, 'one', 'two'),
    ...{ stack: name, service: name },
    route: fc.constantFrom('', '', 'a', '0', '00', 'a-0', 'tls'),
  })

  test('have nothing in common for two stacks, services or routes, however they are called', () => {
    fc.assert(
      fc.property(any, any, (one, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(other))
        const [ours, theirs] = [partsOf(one), partsOf(other)]
        expect(ours.length).toBeGreaterThan(0)
        expect(ours.filter((part) => theirs.includes(part))).toEqual([])
      }),
      {
        examples: [
          [names('shop', 'web-api'), names('shop-web', 'api')],
          [names('shop', 'web', 'api'), names('shop', 'web-api')],
          [names('Shop', 'web'), names('shop', 'web')],
          [names('shop', 'web', '', 'one'), names('shop', 'web', '', 'two')],
          [names('shop-00', 'web'), names('shop', '00', 'web')],
        ],
      },
    )
  })
})
