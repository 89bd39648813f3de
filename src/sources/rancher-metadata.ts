import { type Clock, systemClock } from '../lib/clock.js'
import { HostlerError } from '../lib/errors.js'
import { createKeeper } from '../lib/keeper.js'
import type { Instance } from '../model/instance.js'
import { isLive } from '../model/instance.js'
import { ALIASES_PATH, readAliases, withAliases } from './rancher-metadata/aliases.js'
import { baseUrlOf, type MetadataAddress, type MetadataClient, withMetadataClient } from './rancher-metadata/client.js'
import { readContainers } from './rancher-metadata/containers.js'
import { follow } from './rancher-metadata/follow.js'
import type { Source, SourceContext } from './source.js'

export interface RancherMetadataSettings extends MetadataAddress {
  /** How often to look where the server cannot tell of changes, in milliseconds. */
  readonly pollInterval: number
  /** Aliases from metadata arrive as the label `PREFIX.aliases`. */
  readonly labelPrefix: string
  /** Which containers to report: those that take part by their labels. */
  readonly isRelevant: (labels: Readonly<Record<string, string>>) => boolean
  readonly clock?: Clock
}

/** The labelled containers that Rancher 1.x tells of in its metadata service, with the aliases of their stacks. */
export function createRancherMetadataSource(settings: RancherMetadataSettings, { log }: SourceContext): Source {
  baseUrlOf(settings)
  const label = `${settings.labelPrefix}.aliases`
  const clock = settings.clock ?? systemClock
  const keep = createKeeper<Instance>((instance) => {
    if (!isLive(instance) || instance.networks.length > 0) return
    log.warn({ container: instance.name, stack: instance.stack }, 'container has no address yet; it gets no traffic')
  })

  async function listWith(client: MetadataClient, signal: AbortSignal): Promise<readonly Instance[]> {
    const [containers, aliasMap] = await Promise.all([
      client.readJson('containers', signal),
      client.readJson(ALIASES_PATH, signal),
    ])
    signal.throwIfAborted()
    if (containers === undefined) {
      const where = `${baseUrlOf(settings)}/containers`
      throw new HostlerError('metadata-missing', `${where} answered 404; does that server know this version?`)
    }
    const aliases = readAliases(aliasMap)
    return keep(readContainers(containers, settings.isRelevant).map((one) => withAliases(one, aliases, label)))
  }

  return {
    name: 'rancher-metadata',
    list: (signal) => withMetadataClient(settings, (client) => listWith(client, signal)),
    async watch(events, signal) {
      const list = (client: MetadataClient) => () => listWith(client, signal)
      await withMetadataClient(settings, (client) =>
        follow({ client, list: list(client), pollIntervalMs: settings.pollInterval, clock, events, signal }),
      ).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    },
  }
}
