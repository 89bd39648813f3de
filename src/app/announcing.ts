import { setMaxListeners } from 'node:events'
import type { Settings } from '../config/schema.js'
import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import type { Instance } from '../model/instance.js'
import type { LabelRules } from '../model/wishes.js'
import type { Reconciler } from '../reconcile/reconciler.js'
import { createRegistration, type Registration } from '../reconcile/registration.js'
import type { RegistryState } from '../reconcile/state.js'
import { createRegistries } from '../registries/index.js'
import type { AnnouncedFacts } from '../registries/registry.js'

/** Every registry, fed with what the sources tell. */
export interface Announcing {
  start(): void
  /** Takes back what was announced, where that is asked for. */
  stop(): Promise<void>
  states(): RegistryState[]
}

export interface AnnouncingInputs {
  readonly settings: Settings
  readonly rules: LabelRules
  readonly reconciler: Pick<Reconciler, 'facts' | 'onChange'>
  readonly clock: Clock
  readonly log: Logger
}

/** @throws HostlerError `CONFIG` for settings that no registry can be made of */
export async function createAnnouncing(inputs: AnnouncingInputs): Promise<Announcing> {
  const { settings, rules, reconciler, clock, log } = inputs
  const stopping = new AbortController()
  // Each call that is under way listens, and there are more of them at once than Node.js takes for no leak.
  setMaxListeners(0, stopping.signal)
  const registries = await createRegistries(settings, { rules, clock, log })
  const registrations = registries.map((registry) =>
    createRegistration({
      ...{ registry, clock, log, pollIntervalMs: settings.pollInterval },
      facts: reads(settings, registry.name) ? () => factsFor(registry.name, reconciler) : reconciler.facts,
    }),
  )
  let ended: Promise<unknown> = Promise.resolve()
  let unfollow = () => {}
  return {
    start() {
      unfollow = reconciler.onChange(() => {
        for (const registration of registrations) registration.nudge()
      })
      ended = Promise.all(registrations.map((registration) => run(registration, stopping.signal, log)))
    },
    async stop() {
      unfollow()
      stopping.abort()
      await ended
      await Promise.all(registrations.map((registration) => end(registration, settings.announce.withdraw, log)))
    },
    states: () => registrations.map((registration) => registration.state()),
  }
}

const reads = ({ sources }: Settings, registry: string): boolean => sources.some((source) => source === registry)

/** What came out of a registry does not go into the same one again: an agent's end would never show. */
function factsFor(registry: string, reconciler: Pick<Reconciler, 'facts'>): AnnouncedFacts | undefined {
  const facts = reconciler.facts()
  if (!facts) return undefined
  const isForeign = ({ source }: Instance) => source !== registry
  return facts.instances.every(isForeign) ? facts : { ...facts, instances: facts.instances.filter(isForeign) }
}

async function run(registration: Registration, signal: AbortSignal, log: Logger): Promise<void> {
  try {
    await registration.run(signal)
  } catch (err) {
    if (!signal.aborted) log.error({ err, registry: registration.state().name }, 'nothing is announced any more')
  }
}

/** A registry that does not answer must not hold up the end. */
const WITHDRAW_MS = 5000

async function end(registration: Registration, withdraw: boolean, log: Logger): Promise<void> {
  try {
    await registration.end(withdraw, AbortSignal.timeout(WITHDRAW_MS))
  } catch (err) {
    log.warn(
      { err, registry: registration.state().name },
      'not everything was taken back; it lasts until its lease ends',
    )
  }
}
