import { createAlarm } from '../lib/alarm.js'
import { type Clock, systemClock } from '../lib/clock.js'
import { createKeeper } from '../lib/keeper.js'
import { baseOf, type RancherAddress } from '../lib/rancher/address.js'
import { createCensus } from '../lib/rancher/census.js'
import { type RancherClient, withRancherClient } from '../lib/rancher/client.js'
import type { Instance } from '../model/instance.js'
import { follow } from './rancher-api/follow.js'
import { createReader, type Read } from './rancher-api/instances.js'
import type { Source, SourceContext } from './source.js'

export interface RancherApiSettings extends RancherAddress {
  /** How often to look, in milliseconds. */
  readonly pollInterval: number
  /** Which services to report: those that take part by their labels. */
  readonly isRelevant: (labels: Readonly<Record<string, string>>) => boolean
  readonly clock?: Clock
}

/**
 * The labelled services that Rancher 1.x tells of in its API, at their public endpoints.
 * @throws HostlerError `CONFIG`
 */
export function createRancherApiSource(settings: RancherApiSettings, { log }: SourceContext): Source {
  baseOf(settings)
  if (settings.accessKey === '' || settings.secretKey === '') {
    log.warn(
      'no RANCHER_ACCESS_KEY or RANCHER_SECRET_KEY is set; Rancher answers without keys only where anybody may do anything',
    )
  }
  const clock = settings.clock ?? systemClock
  const census = createCensus({
    ...{ wanted: settings.project, clock },
    skipped: ({ name, id, state }) =>
      log.warn({ project: name, id, state }, 'a project of Rancher is not active; nothing of it counts until it is'),
  })
  const keep = createKeeper<Instance>()
  const readFacts = createReader(settings.isRelevant, clock)
  const alarm = createAlarm(clock)

  async function readWith(client: RancherClient, signal: AbortSignal): Promise<Read> {
    const counted = await census.services(client, signal)
    signal.throwIfAborted()
    const { instances, isChanging } = readFacts(counted)
    return { instances: keep(instances), isChanging }
  }

  return {
    name: 'rancher-api',
    list: (signal) => withRancherClient(settings, async (client) => (await readWith(client, signal)).instances),
    async watch(events, signal) {
      await withRancherClient(settings, (client) => {
        const read = () => readWith(client, signal)
        return follow({ read, pollIntervalMs: settings.pollInterval, clock, alarm, events, signal })
      }).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    },
    nudge: alarm.ring,
  }
}
