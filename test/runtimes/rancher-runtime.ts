import { silentLogger } from '../../src/lib/logger.js'
import {
  createRancherRuntime,
  type RancherRuntimeContext,
  type RancherRuntimeSettings,
} from '../../src/runtimes/rancher.js'
import type { Runtime } from '../../src/runtimes/runtime.js'
import type { ApiVersion, RancherApi } from '../support/rancher-api.js'

export interface RancherRuntimeOptions extends Partial<RancherRuntimeContext> {
  readonly version?: ApiVersion
  readonly rancher?: Partial<RancherRuntimeSettings['rancher']>
}

/** The runtime of a double, which it asks often. */
export function rancherRuntime(api: RancherApi, { version, rancher, ...context }: RancherRuntimeOptions = {}): Runtime {
  const { accessKey, secretKey } = api
  const address = { url: api.url(version), accessKey, secretKey, project: '', stack: 'hostler', timeoutMs: 5000 }
  return createRancherRuntime(
    { rancher: { ...address, ...rancher }, labelPrefix: 'hostler', portLabel: 'map-public-http' },
    { log: silentLogger(), ...context, timeouts: { lookMs: 20, ...context.timeouts } },
  )
}
