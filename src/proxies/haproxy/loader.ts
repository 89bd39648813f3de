import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Settings } from '../../config/schema.js'
import { HostlerError } from '../../lib/errors.js'
import type { ProxyContext } from '../proxy.js'
import type { Loader } from './driver.js'
import { socketsOf } from './environment.js'
import { createMasterSocket } from './master-socket.js'
import { createReloader } from './reloaders.js'
import { createSupervisor } from './supervisor.js'
import { assertPortsFree, type Port } from './supervisor-leftover.js'
import { haproxyVersion } from './supervisor-version.js'
import { createWorkerWatch, type WorkerWatch } from './worker-watch.js'

export interface LoaderInputs extends ProxyContext {
  readonly env: Readonly<Record<string, string>>
  /** The files that HAProxy is started with. */
  readonly configs: () => readonly string[]
  /** What it will listen on, as far as we know. */
  readonly ports: () => readonly Port[]
}

/**
 * How HAProxy is made to load its files: through the master socket of one that runs elsewhere, by a signal to its
 * container, by the operator's command; where none of these is set, as our own child.
 */
export function createLoader(settings: Settings, inputs: LoaderInputs): Loader {
  return isElsewhere(settings) ? elsewhere(settings, inputs) : supervised(settings, inputs)
}

/** Whether HAProxy is somebody else's process. */
export const isElsewhere = ({ haproxy: { masterSocket, container, reloadCommand } }: Settings): boolean =>
  masterSocket !== '' || container !== '' || reloadCommand !== ''

function elsewhere(settings: Settings, inputs: LoaderInputs): Loader {
  const reloader = createReloader(settings, inputs)
  const watch = settings.haproxy.masterSocket === '' ? undefined : watchOf(settings, inputs)
  return {
    prepare: async () => undefined,
    isUp: () => true,
    load: async (signal) => ({ ...(await reloader.reload(signal)), how: 'reload' }),
    ...(watch && { serving: watch.look }),
    stop: async () => undefined,
    describe: () => ({ ...reloader.describe(), ...watch?.describe() }),
  }
}

function watchOf(settings: Settings, { log, clock }: LoaderInputs): WorkerWatch {
  const { checkTimeout: timeoutMs, maxOldWorkers: limit } = settings.haproxy
  return createWorkerWatch({ master: createMasterSocket(socketsOf(settings).master, { timeoutMs, clock }), limit, log })
}

function supervised(settings: Settings, inputs: LoaderInputs): Loader {
  const { env, configs, ports, log, clock } = inputs
  const { bin, checkTimeout, stopTimeout } = settings.haproxy
  const socket = createMasterSocket(socketsOf(settings).master, { timeoutMs: checkTimeout, clock })
  const watch = watchOf(settings, inputs)
  let version = ''
  const supervisor = createSupervisor({
    bin,
    args: () => configs().flatMap((path) => ['-f', path]),
    env: () => env,
    masterSocket: socketsOf(settings).master,
    reloadTimeoutMs: checkTimeout,
    stopTimeoutMs: stopTimeout,
    ports,
    log,
    clock,
  })
  return {
    async prepare(signal) {
      version = (await haproxyVersion(bin, signal)).text
      // One that an earlier run left behind holds the ports for us, and may have loaded already what lies here. Where it
      // cannot be taken over, the first load says why.
      if (await supervisor.adopt(signal).catch(() => false)) return
      const isLeftover = await socket.processes(signal).then(
        () => true,
        () => false,
      )
      if (!isLeftover) await assertPortsFree(ports(), clock, signal)
    },
    isUp: () => supervisor.running(),
    async load(signal) {
      if (supervisor.running()) return { ...(await supervisor.reload(signal)), how: 'reload' }
      await makeSocketFolders(settings)
      const { how, reload } = await supervisor.start(signal)
      return { ...reload, how: how === 'started' ? 'start' : 'reload' }
    },
    serving: watch.look,
    stop: () => supervisor.stop(),
    describe: () => ({
      ...(version !== '' && { version }),
      ...supervisor.describe(),
      ...(supervisor.running() && watch.describe()),
    }),
  }
}

async function makeSocketFolders(settings: Settings): Promise<void> {
  for (const folder of new Set(Object.values(socketsOf(settings)).map((path) => dirname(path)))) {
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause) => {
      const remedy = 'set HOSTLER_STATE_DIR to a folder that may be written'
      throw new HostlerError('CONFIG', `the folder ${folder} for HAProxy's sockets cannot be made; ${remedy}`, {
        cause,
      })
    })
  }
}
