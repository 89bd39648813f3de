import { describe, expect, test } from '@jest/globals'
import type { ConfigSpec, Policy } from '../../../../src/registries/etcd/policies/policy.js'
import { type ConfigText, createServices } from '../../../../src/registries/etcd/policies/services.js'

const policy = (config?: ConfigSpec): Policy => ({
  ...{ name: 'dns', prefix: () => undefined, evaluate: async () => [] },
  ...(config && { config }),
})
const spec: ConfigSpec = {
  properties: { domain: { type: 'string', default: 'local' }, ttl: { type: 'integer', minimum: 1 } },
  additionalProperties: false,
}
const text = (service: string, content: string) => ({ service, text: content, origin: `${service || 'dns'}.json` })
const all = (...texts: ConfigText[]) => ({ texts, isComplete: true })
const told = ({ services }: ReturnType<ReturnType<typeof createServices>['read']>) =>
  services.map(({ name, config }) => [name, config])

describe('the services of a policy', () => {
  test('without a configuration it is one', () => {
    expect(told(createServices(policy()).read(all()))).toEqual([['dns', {}]])
  })

  test('with one, and none written, it is one with the defaults', () => {
    expect(told(createServices(policy(spec)).read(all()))).toEqual([['dns', { domain: 'local' }]])
  })

  test('where etcd may hold configurations, there is none without one', () => {
    expect(told(createServices(policy({ ...spec, etcdPath: '/dns' })).read(all()))).toEqual([])
  })

  test('there is one for each that is written, with the defaults filled in', () => {
    const services = createServices(policy(spec))
    expect(told(services.read(all(text('a', '{"ttl":5}'), text('b', '{"domain":"b"}'))))).toEqual([
      ['dns/a', { ttl: 5, domain: 'local' }],
      ['dns/b', { domain: 'b' }],
    ])
  })

  test.each([
    ['no JSON', '{', /JSON/],
    ['with a secret in place of JSON', '{"ttl": hunter2}', /it is no JSON \(line 1, column 9\); /],
    ['with a comma too many', '{\n  "ttl": 5,\n}', /it is no JSON \(line 3, column 1\); /],
    ['of another kind', '[]', /must be object/],
    ['with a wrong type', '{"ttl":"5"}', /ttl must be integer/],
    ['with something unknown', '{"tl":5}', /must NOT have additional properties/],
  ])('one that is %s leaves its service as it was, and the others go on', (_what, broken, reason) => {
    const services = createServices(policy(spec))
    const [before] = services.read(all(text('a', '{"ttl":5}'))).services
    const { services: now, troubles } = services.read(all(text('a', broken), text('b', '{}')))
    expect(now.map(({ name }) => name)).toEqual(['dns/a', 'dns/b'])
    expect(now[0]).toBe(before)
    expect(troubles).toEqual([expect.stringMatching(reason)])
    expect(troubles[0]).toContain('policy dns: a.json')
    expect(troubles[0]).not.toContain('hunter')
  })

  test('one that did not change is the same service, and one that is gone is none', () => {
    const services = createServices(policy(spec))
    const [before] = services.read(all(text('a', '{"ttl":5}'), text('b', '{}'))).services
    const after = services.read(all(text('a', '{ "ttl": 5 }'))).services
    expect(after).toHaveLength(1)
    expect(after[0]).toBe(before)
  })

  test('while it is not known which there are, they stay', () => {
    const services = createServices(policy(spec))
    services.read(all(text('a', '{}')))
    expect(told(services.read({ texts: [], isComplete: false }))).toEqual([['dns/a', { domain: 'local' }]])
  })

  test('when it is not known whether there are others, those that are known are read and the others stay', () => {
    const services = createServices(policy(spec))
    services.read(all(text('a', '{}'), text('b', '{}')))
    const found = services.read({ texts: [text('b', '{"ttl":5}')], isComplete: false })
    expect(told(found)).toEqual([
      ['dns/b', { domain: 'local', ttl: 5 }],
      ['dns/a', { domain: 'local' }],
    ])
    expect(found.isKnown).toBe(false)
  })

  test('a configuration that was wrong from the start, or cannot be read, leaves it open what is wanted', () => {
    const unreadable = { service: 'a', origin: 'a.json', error: 'it cannot be read (EISDIR)' }
    for (const wrong of [text('a', '{'), unreadable]) {
      const services = createServices(policy(spec))
      expect(services.read(all(wrong, text('b', '{}')))).toMatchObject({
        isKnown: false,
        services: [{ name: 'dns/b' }],
      })
      expect(services.read(all(text('a', '{}'), text('b', '{}')))).toMatchObject({ isKnown: true, troubles: [] })
      expect(services.read(all(wrong, text('b', '{}'))).isKnown).toBe(true)
    }
  })

  test('of two for the same service the first counts, and both are named', () => {
    const services = createServices(policy(spec))
    const other = { ...text('a', '{"ttl":6}'), origin: "etcd's /dns/a" }
    const read = () => services.read(all(text('a', '{"ttl":5}'), other))
    const [before] = read().services
    const { services: now, troubles } = read()
    expect(now).toEqual([before])
    expect(before?.config['ttl']).toBe(5)
    expect(troubles).toEqual([
      expect.stringMatching(/a\.json and etcd's \/dns\/a are the same configuration; the first/),
    ])
  })

  test('one whose only configuration is taken away has its defaults again', () => {
    const services = createServices(policy(spec))
    services.read(all(text('', '{"domain":"other"}')))
    expect(told(services.read(all()))).toEqual([['dns', { domain: 'local' }]])
  })

  describe('after the policy was edited', () => {
    const earlier = () => {
      const services = createServices(policy(spec))
      services.read(all(text('a', '{"ttl":5}'), text('b', '{}')))
      return services.last()
    }

    test('go on with the new one, also where their configuration is broken or not known yet', () => {
      const edited = policy({ ...spec, etcdPath: '/elsewhere' })
      const services = createServices(edited, earlier())
      const unknown = services.read({ texts: [], isComplete: false })
      expect(told(unknown)).toEqual([
        ['dns/a', { ttl: 5, domain: 'local' }],
        ['dns/b', { domain: 'local' }],
      ])
      const { services: now, isKnown } = services.read(all(text('a', '{'), text('b', '{}')))
      expect(now).toEqual(unknown.services)
      expect(now.every((service) => service.policy === edited && !service.isHeld)).toBe(true)
      expect(isKnown).toBe(true)
    })

    test('are held as they were when it takes their configuration no more, until it does', () => {
      const stricter = policy({
        ...spec,
        properties: { ttl: { type: 'integer', minimum: 10 }, domain: { type: 'string' } },
      })
      const services = createServices(stricter, earlier())
      const { services: now, troubles } = services.read(all(text('a', '{"ttl":5}'), text('b', '{}')))
      expect(now.map(({ name, isHeld }) => [name, isHeld])).toEqual([
        ['dns/a', true],
        ['dns/b', undefined],
      ])
      expect(troubles).toEqual([expect.stringContaining('ttl must be >= 10')])
      const mended = createServices(policy(spec), services.last())
      const found = mended.read(all(text('a', '{"ttl":5}'), text('b', '{}')))
      expect(found).toMatchObject({ troubles: [], isKnown: true })
      expect(found.services.some(({ isHeld }) => isHeld)).toBe(false)
    })
  })

  test('what must be told and has no default is asked for', () => {
    const { services, troubles, isKnown } = createServices(policy({ ...spec, required: ['ttl'] })).read(all())
    expect(services).toEqual([])
    expect(isKnown).toBe(false)
    expect(troubles).toEqual([expect.stringContaining("must have required property 'ttl'")])
  })
})
