import type { Logger } from '../lib/logger.js'
import type { GroupMember } from '../model/groups.js'
import type { BringUpInputs } from './bring-up.js'
import type { Lookout } from './lookout.js'
import type { World } from './world.js'

/** Stops what was started for a request and did not get ready, where its labels ask for that: it would run for nobody. */
export interface StopAgain {
  /** Does nothing to what may go on. Never throws. */
  stop(key: string): void
  /** Resolves when no such stop of this container is under way. */
  stopped(key: string): Promise<void>
  /** Calls off what is under way. */
  end(): Promise<void>
}

export interface StopAgainInputs extends Pick<BringUpInputs, 'withheld'> {
  readonly world: World
  readonly lookout: Lookout
  readonly log: Logger
}

/** Facts come by events; whoever looks for longer has lost one. */
const DOWN_MS = 5000

export function createStopAgain({ world, lookout, withheld, log }: StopAgainInputs): StopAgain {
  const life = new AbortController()
  const underWay = new Map<string, Promise<void>>()
  const member = (key: string) => world.groups()?.members.get(key)

  async function act(key: string, { instance, wishes }: GroupMember): Promise<void> {
    const runtime = world.runtime(instance.source)
    const { group } = wishes.lifecycle
    // Also what seems to be down: its start may be under way in its engine, which does one thing after the other.
    if (instance.state !== 'stopped')
      log.warn({ container: instance.name, group }, 'it was started and did not get ready; it is stopped again')
    try {
      await withheld(
        key,
        async () => {
          await runtime?.stop(instance.id, life.signal)
          await lookout.within(DOWN_MS, () => member(key)?.instance.state === 'stopped', life.signal)
        },
        life.signal,
      )
    } catch (err) {
      if (!life.signal.aborted) log.error({ container: instance.name, group, err }, 'a container could not be stopped')
    }
  }

  return {
    stop(key) {
      const found = member(key)
      if (found?.wishes.lifecycle.patienceMs === undefined) return
      const stopping = act(key, found).finally(() => underWay.delete(key))
      underWay.set(key, stopping)
    },
    stopped: async (key) => underWay.get(key),
    async end() {
      life.abort()
      await Promise.allSettled(underWay.values())
    },
  }
}
