import type { Settings } from '../config/schema.js'
import { type Clock, systemClock } from '../lib/clock.js'
import { type Endpoint, parseEndpoint } from '../lib/docker/endpoint.js'
import { sourceNames } from '../lib/docker/source-names.js'
import { createEngineClient } from './docker/client.js'
import type { Container } from './docker/container.js'
import { watchEngine } from './docker/follow.js'
import { ownContainerIds, readSurroundings, type Surroundings } from './docker/own-container.js'
import { Tracker } from './docker/tracker.js'
import type { Source, SourceContext } from './source.js'

export interface DockerSourceSettings extends Pick<Settings, 'docker'> {
  readonly haproxy?: Pick<Settings['haproxy'], 'container'>
  /** Whether a container with these labels could take part; others are dropped at once. */
  readonly isRelevant: (labels: Readonly<Record<string, string>>) => boolean
  /** Each container's whole inspect answer goes along with its facts. Default: no. */
  readonly keepsInspect?: boolean
}

export interface DockerSourceContext extends SourceContext {
  readonly clock?: Clock
  /** Where our own container's id shows. */
  readonly surroundings?: Surroundings
}

/**
 * Containers of Docker or Podman: one source per endpoint of `docker.hosts`, each with a fate of its own. Follows events,
 * with one inspect per event and never a relist; `list` is one list call.
 * @throws HostlerError `CONFIG` for an endpoint or certificates that cannot be used
 */
export function createDockerSources(settings: DockerSourceSettings, context: DockerSourceContext): Source[] {
  const endpoints = settings.docker.hosts.map((text) => parseEndpoint(text, settings.docker))
  const names = sourceNames(endpoints)
  return endpoints.map((endpoint, index) => createDockerSource(names[index] ?? 'docker', endpoint, settings, context))
}

function createDockerSource(
  name: string,
  endpoint: Endpoint,
  { docker, haproxy, isRelevant, keepsInspect = false }: DockerSourceSettings,
  context: DockerSourceContext,
): Source {
  const clock = context.clock ?? systemClock
  const log = context.log.child({ source: name })
  const client = createEngineClient(endpoint)
  const tracker = new Tracker({
    ...{ source: name, client, isRelevant, keepsInspect, clock, log },
    rules: {
      reach: docker.reach,
      address: docker.address,
      remoteHost: endpoint.kind === 'tcp' ? endpoint.host : undefined,
      isProxy: proxyMatcher(
        docker.proxyContainer || haproxy?.container || '',
        context.surroundings ?? readSurroundings(),
      ),
    },
  })
  return {
    name,
    list: (signal) => tracker.list(signal),
    watch: (events, signal) => watchEngine({ endpoint: endpoint.text, client, tracker, clock, log }, events, signal),
  }
}

/** The container that is named (by name or the start of its id); else the one that we run in. */
function proxyMatcher(named: string, surroundings: Surroundings): (container: Container) => boolean {
  const ids = named === '' ? ownContainerIds(surroundings) : [named]
  return ({ id, name }) => name === named || ids.some((start) => start.length >= 12 && id.startsWith(start))
}
