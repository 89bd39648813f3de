import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Settings } from '../config/schema.js'
import { createAccess } from '../http/access.js'
import { addDeployRoutes } from '../http/deploy-routes.js'
import { addLifecycleRoutes, type LifecycleControls, lifecycleOperations } from '../http/lifecycle-routes.js'
import type { Metrics } from '../http/metrics.js'
import { addOpenApiRoute, deployOperations } from '../http/openapi.js'
import { createPrivateServer, type PrivateServer } from '../http/private-server.js'
import type { Clock } from '../lib/clock.js'
import { messageOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import { createDeployer } from '../lifecycle/deploy/deployer.js'
import { ensureOwnToken } from '../lifecycle/deploy/own-token.js'
import { readProfiles } from '../lifecycle/deploy/profiles.js'
import { createTokens } from '../lifecycle/deploy/tokens.js'
import { createUsers } from '../lifecycle/deploy/users.js'
import type { StatePreview } from '../reconcile/preview.js'
import type { State } from '../reconcile/state.js'
import type { Runtime } from '../runtimes/runtime.js'
import { VERSION } from '../version.js'

/** What is told at the private port. */
export interface Told {
  state(): State
  /** What would happen if every proxy were brought in step now; changes nothing. */
  preview(signal: AbortSignal): Promise<StatePreview>
}

export interface PrivatePortInputs {
  readonly settings: Settings
  readonly told: Told
  readonly metrics: Metrics
  readonly routes?: readonly ((app: FastifyInstance) => void)[]
  readonly log: Logger
}

/** Opens the private port. @throws HostlerError `LISTEN` */
export async function openPrivatePort({ settings, told, log, ...inputs }: PrivatePortInputs): Promise<PrivateServer> {
  const server = createPrivateServer({ ...settings.private, ...told, ...inputs, log })
  const { host, port } = await server.start()
  log.info({ listen: `${host}:${port}`, version: VERSION }, 'hostler has started')
  return server
}

export interface ControlInputs {
  readonly settings: Settings
  readonly controls: LifecycleControls
  readonly runtimes: readonly Runtime[]
  readonly clock: Clock
  readonly log: Logger
}

/** The calls that change something, and the document that describes them. @throws HostlerError `CONFIG` */
export async function controlRoutes(inputs: ControlInputs): Promise<((app: FastifyInstance) => void)[]> {
  const { settings, controls, clock, log } = inputs
  const { deploy, sleep, stateDir } = settings
  const own = await ensureOwnToken(stateDir).catch((error) => {
    log.warn(
      { reason: messageOf(error) },
      'no token could be kept in the state folder; hostler wake and sleep need HOSTLER_TOKEN',
    )
    return ''
  })
  const path = join(stateDir, 'tokens.json')
  const tokens = await createTokens({ path, ttlMs: deploy.tokenTtl, fixed: [own, deploy.token], clock, log })
  const access = createAccess({ enabled: deploy.auth, users: createUsers(deploy.usersFile, log), tokens, clock })
  // Where there are several engines, the first one named gets what is deployed.
  const [runtime] = inputs.runtimes
  const profiles = await readProfiles(deploy.profiles)
  const deployer = runtime && createDeployer({ ...deploy, runtime, profiles, removeVolumes: sleep.removeVolumes, log })
  return [
    (app) => addLifecycleRoutes(app, { controls, access, reaperNetwork: sleep.reaperNetwork }),
    ...(deployer ? [(app: FastifyInstance) => addDeployRoutes(app, { deployer, access })] : []),
    (app) => addOpenApiRoute(app, [...lifecycleOperations, ...(deployer ? deployOperations : [])]),
  ]
}
