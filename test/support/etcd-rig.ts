import { loadConfig } from '../../src/config/load.js'
import { systemClock } from '../../src/lib/clock.js'
import { createLogger, silentLogger } from '../../src/lib/logger.js'
import type { Instance } from '../../src/model/instance.js'
import { createEtcdRegistry } from '../../src/registries/etcd.js'
import type { SyncResult } from '../../src/registries/registry.js'
import { rules } from './instances.js'
import { tempDir } from './temp.js'

/** A registry of etcd as the app makes one, at work. */
export interface EtcdRig {
  sync(instances: readonly Instance[], isWhole?: boolean): Promise<SyncResult>
  withdraw(): Promise<void>
  /** How often it has asked for a sync. */
  disturbed(): number
  /** Ends it without a word, as a crash does. */
  stop(): Promise<void>
}

export function startEtcdRegistry(env: Readonly<Record<string, string>>): EtcdRig {
  const { settings } = loadConfig({ env: { HOSTLER_STATE_DIR: tempDir(), HOSTLER_ETCD_LEASE: '60s', ...env } })
  const log = process.env['DEBUG_LOG'] ? createLogger({ level: 'debug', format: 'json' }) : silentLogger()
  const registry = createEtcdRegistry(settings, { rules, log, clock: systemClock })
  const end = new AbortController()
  let disturbed = 0
  const running = registry.run?.(() => {
    disturbed++
  }, end.signal)
  return {
    sync: (instances, isWhole = true) => registry.sync({ instances, isWhole, draining: new Set() }, end.signal),
    withdraw: async () => registry.withdraw?.(end.signal),
    disturbed: () => disturbed,
    async stop() {
      end.abort()
      await running
      await registry.close?.()
    },
  }
}
