import type { Settings } from '../../config/schema.js'
import type { Clock } from '../../lib/clock.js'
import { createDockerode } from '../../lib/docker/dockerode.js'
import { parseEndpoint } from '../../lib/docker/endpoint.js'
import { createTurns } from '../../lib/turns.js'
import { createMasterSocket, type MasterSocket, type ReloadResult } from './master-socket.js'
import { createCommandReloader } from './reloaders-command.js'
import { createContainerReloader } from './reloaders-docker.js'
import type { Supervisor } from './supervisor.js'

/** A way to make a HAProxy load its files anew. Calls take turns. */
export interface Reloader {
  /** `ok: false`: HAProxy refused and serves what it had. Throws when that could not be told, or HAProxy not be reached. */
  reload(signal: AbortSignal): Promise<ReloadResult>
  /** For `hostler status`. */
  describe(): Record<string, string | number | boolean>
}

export interface ReloaderInputs {
  readonly env: Readonly<Record<string, string>>
  readonly clock: Clock
}

/**
 * The way to a HAProxy that runs elsewhere, as the settings name it: its master socket, else its container, else the
 * operator's command.
 */
export function createReloader(settings: Settings, { env, clock }: ReloaderInputs): Reloader {
  const { masterSocket, container, signal, reloadCommand, checkTimeout: timeoutMs } = settings.haproxy
  if (masterSocket !== '') return createSocketReloader(createMasterSocket(masterSocket, { timeoutMs, clock }))
  if (container === '') return inTurns(createCommandReloader({ command: reloadCommand, timeoutMs, env, clock }))
  // HAProxy's container is to be found at the first of the endpoints.
  const docker = createDockerode(parseEndpoint(settings.docker.hosts[0] ?? '', settings.docker))
  return inTurns(createContainerReloader({ docker, container, signal, clock }))
}

/** Through the master socket of a HAProxy that somebody else started, on a shared volume. */
export function createSocketReloader(socket: MasterSocket): Reloader {
  let workerPid: number | undefined
  return inTurns({
    async reload(signal) {
      const result = await socket.reload(signal)
      workerPid = result.workerPid
      return result
    },
    describe: () => ({ reloads: 'socket', socket: socket.path, ...(workerPid !== undefined && { worker: workerPid }) }),
  })
}

/** Through the supervisor of our own child. */
export const createSupervisedReloader = (supervisor: Supervisor): Reloader => ({
  reload: (signal) => supervisor.reload(signal),
  describe: () => supervisor.describe(),
})

function inTurns(reloader: Reloader): Reloader {
  const turns = createTurns()
  return { ...reloader, reload: (signal) => turns.take(() => reloader.reload(signal)) }
}
