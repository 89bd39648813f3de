import { join } from 'node:path'
import { loadConfig } from '../../src/config/load.js'
import { systemClock } from '../../src/lib/clock.js'
import { createEtcdClient, type EtcdClient } from '../../src/lib/etcd/client.js'
import { silentLogger } from '../../src/lib/logger.js'
import { createKeys } from '../../src/registries/etcd/keys.js'
import { type Announced, createRegistrar, type WantedNode } from '../../src/registries/etcd/registrar.js'
import { createTenure } from '../../src/registries/etcd/tenure.js'
import { tempDir } from './temp.js'

/** A registrar alone, which is told what nodes there are: by container, by path. */
export interface RegistrarRig {
  announce(containers: Containers, kept?: (claimed: WantedNode) => boolean): Promise<Announced>
  /** From now on it follows what others claim. */
  follow(): void
  disturbed(): number
  withdraw(): Promise<void>
  stop(): Promise<void>
}

export type Containers = Readonly<Record<string, Readonly<Record<string, string>>>>

export interface RegistrarOptions {
  readonly endpoint: string
  readonly prefix: string
  readonly name?: string
  readonly stateDir?: string
  /** What goes wrong between it and etcd. */
  readonly spoilt?: (client: EtcdClient) => Partial<EtcdClient>
}

/** Long: nothing that is put right with time hides what is wrong. */
const LEASE_MS = 60_000

export function startRegistrar({ endpoint, prefix, ...options }: RegistrarOptions): RegistrarRig {
  const { name = 'host-a', stateDir = tempDir(), spoilt = () => ({}) } = options
  const sound = createEtcdClient(loadConfig({ env: { ETCD_ENDPOINT: endpoint } }).settings.etcd)
  const client = { ...sound, ...spoilt(sound) }
  const keys = createKeys(prefix)
  const common = { client, keys, clock: systemClock, log: silentLogger() }
  const tenure = createTenure({ ...common, name, leaseMs: LEASE_MS, path: join(stateDir, 'etcd.json') })
  const registrar = createRegistrar({ ...common, tenure, auditMs: LEASE_MS })
  const end = new AbortController()
  let running: Promise<void> | undefined
  let disturbed = 0
  let last: ReadonlyMap<string, WantedNode> = new Map()
  return {
    announce(containers, kept = () => false) {
      const nodes = nodesOf(containers)
      const touched = new Set([...last, ...nodes].flatMap(([node]) => (isSame(last, nodes, node) ? [] : node)))
      last = nodes
      return registrar.announce({ nodes, touched, kept }, end.signal)
    },
    follow() {
      running = registrar.run(() => disturbed++, end.signal)
    },
    disturbed: () => disturbed,
    withdraw: () => registrar.withdraw(end.signal),
    async stop() {
      end.abort()
      await running
      client.close()
    },
  }
}

const nodesOf = (containers: Containers): Map<string, WantedNode> =>
  new Map(
    Object.entries(containers).flatMap(([group, nodes]) =>
      Object.entries(nodes).map(([node, value]) => [node, { value, group }] as const),
    ),
  )

const isSame = (a: ReadonlyMap<string, WantedNode>, b: ReadonlyMap<string, WantedNode>, node: string): boolean =>
  a.get(node)?.value === b.get(node)?.value && a.get(node)?.group === b.get(node)?.group
