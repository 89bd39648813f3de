import type { Settings } from '../config/schema.js'
import { type Clock, systemClock } from '../lib/clock.js'
import { createKeyedTurns } from '../lib/keyed-turns.js'
import { baseOf, type RancherAddress } from '../lib/rancher/address.js'
import { createCensus } from '../lib/rancher/census.js'
import { createActs } from './rancher/acts.js'
import { createService, namesakeOf } from './rancher/create.js'
import { createDesk, serviceIdOf } from './rancher/desk.js'
import { createLook, toWorkload } from './rancher/look.js'
import { DEFAULT_TIMEOUTS, type Timeouts } from './rancher/timeouts.js'
import { type Runtime, type RuntimeContext, RuntimeError } from './runtime.js'

export interface RancherRuntimeSettings extends Pick<Settings, 'labelPrefix' | 'portLabel'> {
  readonly rancher: RancherAddress & Pick<Settings['rancher'], 'stack'>
}

export interface RancherRuntimeContext extends RuntimeContext {
  readonly clock?: Clock
  readonly timeouts?: Partial<Timeouts>
}

/** The source whose instances are services. */
const RANCHER_RUNTIME = 'rancher-api'

/**
 * Services of Rancher 1.x: starting is activating, stopping deactivating, all of a service's containers at once.
 * @throws HostlerError `CONFIG`
 */
export function createRancherRuntime(settings: RancherRuntimeSettings, context: RancherRuntimeContext): Runtime {
  const { rancher } = settings
  baseOf(rancher)
  const clock = context.clock ?? systemClock
  const timeouts = { ...DEFAULT_TIMEOUTS, ...context.timeouts }
  const log = context.log.child({ runtime: RANCHER_RUNTIME })
  const census = createCensus({ wanted: rancher.project, clock })
  const desk = createDesk(rancher, census.withProjects)
  const look = createLook(desk, census, rancher.stack)
  const acts = createActs({ desk, timeouts, clock, log })
  const creating = { desk, withProjects: census.withProjects, labels: settings, stack: rancher.stack, log }
  const inTurns = createKeyedTurns()
  const inTurn = (id: string, signal: AbortSignal, work: () => Promise<void>) => inTurns(serviceIdOf(id), signal, work)
  return {
    source: RANCHER_RUNTIME,
    cannotPause: true,
    create: (spec, signal) => createService(creating, spec, signal),
    async namesake(spec, signal) {
      const service = await namesakeOf(creating, spec, signal)
      return service && toWorkload(service)
    },
    pull: (_image, _progress, signal) =>
      impossible('images cannot be pulled through Rancher; its hosts do that when a service is started', signal),
    start: (id, signal) => inTurn(id, signal, () => acts.start(id, signal)),
    stop: (id, signal) => inTurn(id, signal, () => acts.stop(id, signal)),
    pause: (_id, signal) => impossible('services of Rancher cannot be paused; stop them', signal),
    unpause: (_id, signal) => impossible('services of Rancher cannot be paused, nor unpaused; start them', signal),
    // Rancher removes a container together with its anonymous volumes.
    remove: (id, _options, signal) => inTurn(id, signal, () => acts.remove(id, signal)),
    inspect: look.inspect,
    list: look.list,
    async traffic(_id, signal) {
      signal.throwIfAborted()
      return undefined
    },
  }
}

async function impossible(why: string, signal: AbortSignal): Promise<never> {
  signal.throwIfAborted()
  throw new RuntimeError('refused', why)
}
