import { expect, test } from '@jest/globals'
import { exitCodeOf } from '../../src/cli/exit-codes.js'
import { HostlerError } from '../../src/lib/errors.js'

test.each([
  ['CONFIG', 2],
  ['rancher-project', 2],
  ['CONSUL_SHARED', 2],
  ...['unreachable', 'status', 'key', 'missing', 'syntax', 'shape', 'paging'].map(
    (what) => [`rancher-${what}`, 3] as const,
  ),
  ...['unreachable', 'status', 'missing', 'syntax', 'shape'].map((what) => [`metadata-${what}`, 3] as const),
  ...['ETCD', 'ETCD_AUTH', 'ETCD_TLS', 'ETCD_LEASE', 'ETCD_COMPACTED'].map((code) => [code, 3] as const),
  ...['CONSUL', 'CONSUL_ANSWER', 'CONSUL_DENIED', 'CONSUL_EARLY', 'DOCKER'].map((code) => [code, 3] as const),
  ['CONSUL_REFUSED', 1],
  ['whatever', 1],
])('%s ends with %i', (code, exit) => expect(exitCodeOf(new HostlerError(code, 'no'))).toBe(exit))

test('what is no error of ours ends with 1', () => expect(exitCodeOf(new Error('no'))).toBe(1))
