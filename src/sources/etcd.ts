import { announcerOf } from '../config/announce.js'
import type { Settings } from '../config/schema.js'
import { type Clock, systemClock } from '../lib/clock.js'
import { createEtcdClient, type EtcdClient } from '../lib/etcd/client.js'
import { type KeyRange, prefixRange } from '../lib/etcd/keys.js'
import { mirror } from '../lib/etcd/mirror.js'
import { createAnnouncements } from './etcd/announcements.js'
import type { Source, SourceContext } from './source.js'

export interface EtcdSourceContext extends SourceContext {
  readonly clock?: Clock
}

export type EtcdSourceSettings = Pick<Settings, 'etcd' | 'announce' | 'registries' | 'policies'>

/**
 * Instances that Hostlers on other hosts announce in etcd by their `hostler` policy. What this process announces there itself
 * is left out, for it comes from a source of its own.
 * @throws HostlerError `CONFIG` for endpoints or files that cannot be used
 */
export function createEtcdSource(settings: EtcdSourceSettings, context: EtcdSourceContext): Source {
  const { etcd } = settings
  const clock = context.clock ?? systemClock
  const log = context.log.child({ source: 'etcd' })
  const prefix = `/${etcd.prefix.replace(/^\/+|\/+$/g, '')}/instances/`
  const range = prefixRange(prefix)
  const announces = settings.registries.includes('etcd') && settings.policies.includes('hostler')
  const own = announces ? `${encodeURIComponent(announcerOf(settings))}/` : undefined
  const announcements = createAnnouncements({
    ...{ source: 'etcd', prefix, own, clock, log },
    leaseMs: etcd.lease || DEFAULT_LEASE_MS,
  })
  // Settings that cannot be used are told at the start.
  createEtcdClient(etcd).close()

  return {
    name: 'etcd',
    list: (signal) =>
      withClient(settings, signal, async (client) => {
        const before = announcements.learnt()
        const listing = await client.list(range, signal)
        return announcements.learnt() === before ? announcements.replace(listing) : announcements.snapshot()
      }),
    async watch(events, signal) {
      await withClient(settings, signal, (client) => follow({ client, range, clock }, announcements, events, signal))
    },
  }
}

/** Who announces without a lease may well read what others announce with one. */
const DEFAULT_LEASE_MS = 30_000

async function withClient<T>(
  { etcd }: EtcdSourceSettings,
  signal: AbortSignal,
  use: (client: EtcdClient) => Promise<T>,
) {
  signal.throwIfAborted()
  const client = createEtcdClient(etcd)
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

async function follow(
  where: { readonly client: EtcdClient; readonly range: KeyRange; readonly clock: Clock },
  announcements: ReturnType<typeof createAnnouncements>,
  events: Parameters<Source['watch']>[0],
  signal: AbortSignal,
): Promise<void> {
  const forgetting = announcements.expire(() => events.report(announcements.snapshot()), signal)
  await mirror(
    where,
    {
      all: (listing) => events.report(announcements.replace(listing)),
      changed(changes) {
        if (changes.length > 0) events.report(announcements.apply(changes))
      },
      failed: events.failed,
    },
    signal,
  )
  await forgetting
}
