import { describe, expect, test } from '@jest/globals'
import type { ConfigSpec, Policy } from '../../../../src/registries/etcd/policies/policy.js'
import { createServices } from '../../../../src/registries/etcd/policies/services.js'

const policy = (config?: ConfigSpec): Policy => ({
  ...{ name: 'dns', prefix: () => undefined, evaluate: async () => [] },
  ...(config && { config }),
})
const spec: ConfigSpec = {
  properties: { domain: { type: 'string', default: 'local' }, ttl: { type: 'integer', minimum: 1 } },
  additionalProperties: false,
}
const text = (service: string, content: string) => ({ service, text: content, origin: `${service || 'dns'}.json` })
const told = ({ services }: ReturnType<ReturnType<typeof createServices>['read']>) =>
  services.map(({ name, config }) => [name, config])

describe('the services of a policy', () => {
  test('without a configuration it is one', () => {
    expect(told(createServices(policy()).read([]))).toEqual([['dns', {}]])
  })

  test('with one, and none written, it is one with the defaults', () => {
    expect(told(createServices(policy(spec)).read([]))).toEqual([['dns', { domain: 'local' }]])
  })

  test('where etcd may hold configurations, there is none without one', () => {
    expect(told(createServices(policy({ ...spec, etcdPath: '/dns' })).read([]))).toEqual([])
  })

  test('there is one for each that is written, with the defaults filled in', () => {
    const services = createServices(policy(spec))
    expect(told(services.read([text('a', '{"ttl":5}'), text('b', '{"domain":"b"}')]))).toEqual([
      ['dns/a', { ttl: 5, domain: 'local' }],
      ['dns/b', { domain: 'b' }],
    ])
  })

  test.each([
    ['no JSON', '{', /JSON/],
    ['of another kind', '[]', /must be object/],
    ['with a wrong type', '{"ttl":"5"}', /ttl must be integer/],
    ['with something unknown', '{"tl":5}', /must NOT have additional properties/],
  ])('one that is %s leaves its service as it was, and the others go on', (_what, broken, reason) => {
    const services = createServices(policy(spec))
    const [before] = services.read([text('a', '{"ttl":5}')]).services
    const { services: now, troubles } = services.read([text('a', broken), text('b', '{}')])
    expect(now.map(({ name }) => name)).toEqual(['dns/a', 'dns/b'])
    expect(now[0]).toBe(before)
    expect(troubles).toEqual([expect.stringMatching(reason)])
    expect(troubles[0]).toContain('policy dns: a.json')
  })

  test('one that did not change is the same service, and one that is gone is none', () => {
    const services = createServices(policy(spec))
    const [before] = services.read([text('a', '{"ttl":5}'), text('b', '{}')]).services
    const after = services.read([text('a', '{ "ttl": 5 }')]).services
    expect(after).toHaveLength(1)
    expect(after[0]).toBe(before)
  })

  test('while it is not known which there are, they stay', () => {
    const services = createServices(policy(spec))
    services.read([text('a', '{}')])
    expect(told(services.read(undefined))).toEqual([['dns/a', { domain: 'local' }]])
  })

  test('what must be told and has no default is asked for', () => {
    const { services, troubles } = createServices(policy({ ...spec, required: ['ttl'] })).read([])
    expect(services).toEqual([])
    expect(troubles).toEqual([expect.stringContaining("must have required property 'ttl'")])
  })
})
