import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { announcerOf } from '../config/announce.js'
import type { Settings } from '../config/schema.js'
import { HostlerError } from '../lib/errors.js'
import { createEtcdClient } from '../lib/etcd/client.js'
import { prefixRange } from '../lib/etcd/keys.js'
import { takesPart } from '../model/labels.js'
import { createWishReader } from '../model/reader.js'
import type { LabelRules } from '../model/wishes.js'
import { createKeys } from './etcd/keys.js'
import type { ContainerNodes } from './etcd/policies/built-in.js'
import { createEngine } from './etcd/policies/engine.js'
import { hostler } from './etcd/policies/hostler.js'
import { createPolicySet } from './etcd/policies/policy-set.js'
import { createRetries } from './etcd/policies/retries.js'
import { skydns } from './etcd/policies/skydns.js'
import { traefik } from './etcd/policies/traefik.js'
import { createRegistrar, INHERITED, type WantedNode } from './etcd/registrar.js'
import { createTenure } from './etcd/tenure.js'
import type { Registry, RegistryContext } from './registry.js'

/**
 * etcd: policies say which nodes each container has, and a registrar keeps them there together with those of other hosts.
 * @throws HostlerError `CONFIG` for endpoints, files or policies that cannot be used
 */
export function createEtcdRegistry(settings: Settings, { rules, log: parent, clock }: RegistryContext): Registry {
  const { etcd, stateDir } = settings
  const log = parent.child({ registry: 'etcd' })
  const name = announcerOf(settings)
  const prefix = `/${etcd.prefix.replace(/^\/+|\/+$/g, '')}`
  const client = createEtcdClient(etcd)
  const keys = createKeys(prefix)
  const path = join(stateDir, `etcd-${fingerprint([prefix, name, ...etcd.endpoints])}.json`)
  const tenure = createTenure({ ...{ client, keys, name, path, clock, log }, leaseMs: etcd.lease })
  const registrar = createRegistrar({
    ...{ client, keys, tenure, clock, log },
    auditMs: Math.min(etcd.lease || AUDIT_MS, AUDIT_MS),
  })
  const retries = createRetries({ clock })
  const engine = createEngine({ reserved: keys.registrar, retries })
  const set = createPolicySet({
    ...{ client, clock, retries, policies: settings.policies, folder: settings.services },
    builtIns: builtIns(settings, { instances: `${prefix}/instances/${encodeURIComponent(name)}`, rules }),
  })

  return {
    name: 'etcd',
    async sync({ instances, isWhole }, signal) {
      const found = await set.services(signal)
      const { nodes, touched, troubles, ...wants } = await engine.run(instances, found.services, signal)
      // Of what an earlier run has announced it is not known which policy wanted it: every one must have been heard.
      const isSaid = found.isWhole && wants.isWhole
      const kept = (node: WantedNode) => !isWhole || (!isSaid && node.group === INHERITED)
      const announced = await registrar.announce({ nodes, touched, kept }, signal)
      const { claims: entries, written, removed } = announced
      return { ...{ entries, written, removed }, troubles: [...found.troubles, ...troubles, ...announced.troubles] }
    },
    async check(signal) {
      const { entries } = await client.list(prefixRange(keys.registrar), signal)
      const { services, troubles } = await set.services(signal)
      if (troubles[0] !== undefined) throw new HostlerError('POLICY', troubles.join('; '))
      return `${services.map((service) => service.name).join(', ')}; ${entries.length} keys of registrars`
    },
    async run(disturbed, signal) {
      await Promise.all([registrar, set, retries].map((one) => one.run(disturbed, signal)))
    },
    withdraw: (signal) => registrar.withdraw(signal),
    async close() {
      await set.close()
      client.close()
    },
  }
}

/** How often everything is looked at, at least. */
const AUDIT_MS = 30_000

const fingerprint = (parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12)

function builtIns(
  settings: Settings,
  { instances, rules }: { instances: string; rules: LabelRules },
): ContainerNodes[] {
  const { announce, skydns: skydnsSettings, traefik: traefikSettings, https } = settings
  const { entryPoints, tlsEntryPoints, certResolver } = traefikSettings
  return [
    hostler({
      prefix: instances,
      address: announce.address,
      isRelevant: (labels) => takesPart(labels, settings),
    }),
    skydns(skydnsSettings),
    traefik({
      ...{ rules, entryPoints, certResolver, address: announce.address },
      read: createWishReader(rules),
      tlsEntryPoints: https.enabled ? tlsEntryPoints : [],
    }),
  ]
}
