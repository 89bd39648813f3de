import { systemClock } from '../../src/lib/clock.js'
import { silentLogger } from '../../src/lib/logger.js'
import { type Instance, keyOf } from '../../src/model/instance.js'
import { type ConsulRegistrySettings, createConsulRegistry } from '../../src/registries/consul.js'
import type { Registry, SyncResult } from '../../src/registries/registry.js'
import type { TestConsul } from './consul.js'
import { accessTo } from './consul-access.js'
import { rules } from './instances.js'
import { tempDir } from './temp.js'

/** A registry of Consul as the app makes one, without a lease unless told otherwise. */
export function consulRegistry(
  consul: Pick<TestConsul, 'url' | 'token' | 'tls'>,
  over: Partial<ConsulRegistrySettings> = {},
): Registry {
  const settings: ConsulRegistrySettings = {
    ...accessTo(consul),
    ...{ idSchema: '%NAME%_%HOST%_%PORT%', nameScheme: '%NAME%', cleanupId: 'default', tag: 'hostler' },
    ...{ lease: 0, announcer: 'host-a', hostAddress: '', lookMs: 600_000, stateDir: tempDir() },
    ...over,
  }
  return createConsulRegistry(settings, { rules, log: silentLogger(), clock: systemClock })
}

export interface FactsOptions {
  readonly isWhole?: boolean
  readonly draining?: readonly Instance[]
  readonly signal?: AbortSignal
}

/** Announces exactly these. */
export const announce = (
  registry: Registry,
  instances: readonly Instance[],
  { isWhole = true, draining = [], signal = new AbortController().signal }: FactsOptions = {},
): Promise<SyncResult> =>
  registry.sync({ instances, isWhole, draining: new Set(draining.map((one) => keyOf(one))) }, signal)

export interface StoredService {
  readonly ID: string
  readonly Service: string
  readonly Address: string
  readonly Port: number
  readonly Tags: readonly string[]
  readonly Meta: Readonly<Record<string, string>>
}

export interface StoredCheck {
  readonly CheckID: string
  readonly ServiceID: string
  readonly Status: string
  readonly Notes: string
  readonly Output: string
  readonly Type: string
}

/** What the agent has, by id. */
export const servicesOf = (consul: TestConsul): Promise<Record<string, StoredService>> =>
  consul.call('GET', '/v1/agent/services')

export const checksOf = async (consul: TestConsul, service: string): Promise<StoredCheck[]> =>
  Object.values(await consul.call<Record<string, StoredCheck>>('GET', '/v1/agent/checks')).filter(
    ({ ServiceID }) => ServiceID === service,
  )

/** `passing` when all of its checks are; else what the worst one says. */
export async function statusOf(consul: TestConsul, service: string): Promise<string> {
  const all = (await checksOf(consul, service)).map(({ Status }) => Status)
  return ['critical', 'warning'].find((status) => all.includes(status)) ?? 'passing'
}

export const register = (consul: TestConsul, service: object): Promise<unknown> =>
  consul.call('PUT', '/v1/agent/service/register', service)

/** Forgets every service of the agent. */
export async function clear(consul: TestConsul): Promise<void> {
  for (const id of Object.keys(await servicesOf(consul)))
    await consul.call('PUT', `/v1/agent/service/deregister/${encodeURIComponent(id)}`)
}
