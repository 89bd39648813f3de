import { expect, test } from '@jest/globals'
import { skydns } from '../../../../src/registries/etcd/policies/skydns.js'
import { instance } from '../../../support/instances.js'

test('names are in lower case, as CoreDNS looks for them', () => {
  const policy = skydns({ domain: 'CI.Example.com', network: '' })
  const config = { domain: 'CI.Example.com', network: '' }
  expect(policy.prefix(config)).toBe('/skydns/com/example/ci')
  expect(policy.nodes(instance('Web-1'), config)).toEqual([['/skydns/com/example/ci/web-1', '{"host":"10.0.0.1"}']])
})
