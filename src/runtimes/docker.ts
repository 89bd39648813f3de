import type { Settings } from '../config/schema.js'
import { type Clock, systemClock } from '../lib/clock.js'
import { type Endpoint, parseEndpoint } from '../lib/docker/endpoint.js'
import { sourceNames } from '../lib/docker/source-names.js'
import { createKeyedTurns } from '../lib/keyed-turns.js'
import { createActs } from './docker/acts.js'
import { createContainer } from './docker/create.js'
import { createEndings } from './docker/endings.js'
import { createEngine } from './docker/engine.js'
import { createLook } from './docker/look.js'
import { pullImage } from './docker/pull.js'
import { createSettling } from './docker/settle.js'
import { DEFAULT_TIMEOUTS, type Timeouts } from './docker/timeouts.js'

import type { Runtime, RuntimeContext } from './runtime.js'

export type DockerRuntimeSettings = Pick<Settings, 'docker'>

export interface DockerRuntimeContext extends RuntimeContext {
  readonly clock?: Clock
  readonly timeouts?: Partial<Timeouts>
}

/**
 * Containers of Docker or Podman: one runtime per endpoint of `docker.hosts`.
 * @throws HostlerError `CONFIG` for an endpoint or certificates that cannot be used
 */
export function createDockerRuntimes(settings: DockerRuntimeSettings, context: DockerRuntimeContext): Runtime[] {
  const endpoints = settings.docker.hosts.map((text) => parseEndpoint(text, settings.docker))
  const names = sourceNames(endpoints)
  return endpoints.map((endpoint, index) => createDockerRuntime(names[index] ?? 'docker', endpoint, context))
}

function createDockerRuntime(source: string, endpoint: Endpoint, context: DockerRuntimeContext): Runtime {
  const clock = context.clock ?? systemClock
  const timeouts = { ...DEFAULT_TIMEOUTS, ...context.timeouts }
  const log = context.log.child({ runtime: source })
  const engine = createEngine(endpoint)
  const look = createLook(engine, timeouts)
  const settling = createSettling({ look, timeouts, clock })
  const acts = createActs({ engine, look, settling, timeouts })
  const endings = createEndings({ engine, look, settling, timeouts }, acts)
  const inTurn = createKeyedTurns()
  return {
    source,
    create: (spec, signal) => createContainer({ engine, timeouts, log }, spec, signal),
    pull: (image, progress, signal) => pullImage({ engine, timeouts }, image, progress, signal),
    start: (id, signal) => inTurn(id, signal, () => acts.start(id, signal)),
    stop: (id, signal) => inTurn(id, signal, () => endings.stop(id, signal)),
    pause: (id, signal) => inTurn(id, signal, () => acts.pause(id, signal)),
    unpause: (id, signal) => inTurn(id, signal, () => acts.unpause(id, signal)),
    remove: (id, { volumes }, signal) => inTurn(id, signal, () => endings.remove(id, volumes, signal)),
    inspect: async (idOrName, signal) => (await look.inspect(idOrName, signal))?.workload,
    list: (labels, signal) => look.list(labels, signal),
    traffic: (id, signal) => look.traffic(id, signal),
  }
}
