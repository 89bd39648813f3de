import type { Settings } from '../config/schema.js'
import type { LifecycleMetrics } from '../http/lifecycle-metrics.js'
import type { LifecycleControls } from '../http/lifecycle-routes.js'
import { createPages } from '../http/public/pages.js'
import { createPublicServer, type PublicServer } from '../http/public-server.js'
import type { Clock } from '../lib/clock.js'
import { HostlerError } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import { findGroup } from '../lifecycle/find-group.js'
import { createLifecycle } from '../lifecycle/index.js'
import { createReaper } from '../lifecycle/reaper.js'
import type { Groups } from '../model/groups.js'
import type { WishReader } from '../model/reader.js'
import type { LabelRules } from '../model/wishes.js'
import type { Proxy } from '../proxies/proxy.js'
import type { LifecycleState } from '../reconcile/lifecycle-state.js'
import type { FactGate, Reconciler } from '../reconcile/reconciler.js'
import type { Runtime } from '../runtimes/runtime.js'
import { createSessionCounter } from './session-counter.js'
import { summarise } from './summary.js'

/** Everything of sleep and wake, put together: the gate in the loop, the public port, the reaper. */
export interface SleepAndWake {
  readonly reconciler: Reconciler
  readonly controls: LifecycleControls
  state(): LifecycleState
  /** Opens the public port; nothing leads there before. @throws HostlerError `LISTEN` */
  open(): Promise<void>
  close(): Promise<void>
  /** Begins to look for idle stacks. */
  watch(): Promise<void>
  /** Ends what it starts and stops; to be called before the loop ends. */
  rest(): Promise<void>
}

export interface SleepAndWakeInputs {
  readonly settings: Settings
  readonly rules: LabelRules
  readonly read: WishReader
  readonly runtimes: readonly Runtime[]
  readonly proxies: readonly Proxy[]
  readonly reconcile: (gate: FactGate) => Reconciler
  readonly metrics: LifecycleMetrics
  readonly clock: Clock
  readonly log: Logger
}

export function createSleepAndWake(inputs: SleepAndWakeInputs): SleepAndWake {
  const { settings, rules, proxies, metrics, clock, log } = inputs
  const lifecycle = createLifecycle({
    ...inputs,
    sessions: createSessionCounter(proxies, (backends) => publicServer?.sessions.on(backends) ?? 0),
    record: metrics.happened,
  })
  const { world, waker, sleeper, reconciler } = lifecycle
  const reaper = createReaper({ world, waker, sleeper, proxies, settings, rules, clock, log })
  const publicServer = openPort({ ...inputs, lifecycle, reaper })
  const groups = (): Groups => world.groups() ?? NO_GROUPS

  return {
    reconciler,
    controls: {
      async wake(name) {
        const group = findGroup(groups(), name)
        const began = clock.elapsed()
        await waker.wake(group)
        reaper.note(group)
        return { group, result: 'awake', ms: Math.round(clock.elapsed() - began) }
      },
      async sleep(name) {
        const group = findGroup(groups(), name)
        assertWakes(
          group,
          groups()
            .byName.get(group)
            ?.members.some(({ wishes }) => wishes.lifecycle.wake) === true,
        )
        const began = clock.elapsed()
        const result = await sleeper.sleep(group, 'asked')
        return { group, result, ms: Math.round(clock.elapsed() - began) }
      },
      heartbeat(name) {
        const group = findGroup(groups(), name)
        reaper.note(group)
        return { group }
      },
      async reap() {
        const { done, awake } = await reaper.pass()
        return {
          done: done.map(({ group, why, outcome }) => ({ group, why, result: outcome })),
          kept: awake - done.length,
        }
      },
    },
    state: () => summarise(world, waker, reaper.state(), publicServer?.held() ?? 0),
    async open() {
      const listening = await publicServer?.start()
      if (listening) log.info({ listen: `${listening.host}:${listening.port}` }, 'the public port is open')
    },
    close: async () => publicServer?.stop(),
    watch: () => reaper.start(),
    async rest() {
      await reaper.stop()
      await lifecycle.stop()
    },
  }
}

const NO_GROUPS: Groups = { byName: new Map(), nameOf: new Map(), members: new Map() }

interface PortInputs extends SleepAndWakeInputs {
  readonly lifecycle: ReturnType<typeof createLifecycle>
  readonly reaper: ReturnType<typeof createReaper>
}

function openPort({ settings, lifecycle, reaper, metrics, clock, log }: PortInputs): PublicServer | undefined {
  const { listen } = settings.public
  if (listen === undefined) return undefined
  const { world, waker } = lifecycle
  return createPublicServer({
    ...{ listen, world, waker, clock, log },
    settings: settings.wake,
    domain: settings.domain,
    pages: createPages({ overlay: settings.templates, log, clock }),
    ...(settings.direct.cookieRouting && { fallbackUrl: settings.direct.fallbackUrl }),
    events: {
      held: metrics.held,
      session: reaper.hold,
      firstByte: (_group, ms) => metrics.firstByte(ms),
      ended: metrics.answered,
    },
  })
}

function assertWakes(group: string, wakes: boolean): void {
  if (!wakes)
    throw new HostlerError(
      'NOT_WAKEABLE',
      `nothing of ${group} may be put to sleep: no container has the label hostler.wake`,
    )
}
