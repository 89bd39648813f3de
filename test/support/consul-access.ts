import type { ConsulAccess } from '../../src/lib/consul/address.js'
import type { TestConsul } from './consul.js'

/** How a test's Consul is reached, with everything right. */
export const accessTo = ({ url, token, tls }: Pick<TestConsul, 'url' | 'token' | 'tls'>): ConsulAccess => ({
  ...{ url, token, ca: tls.ca, cert: tls.cert, key: tls.key },
  ...{ ssl: false, verify: true, serverName: '' },
})
