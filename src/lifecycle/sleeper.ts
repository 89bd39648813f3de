import { HostlerError } from '../lib/errors.js'
import type { Group, Groups } from '../model/groups.js'
import { printable } from '../model/label-values.js'
import { type Bed, Bedtime, type BedtimeInputs, type SleepResult } from './bedtime.js'
import type { Breaker } from './breaker.js'
import { whoIsRemoved, whoSleeps } from './who-sleeps.js'
import type { LifecycleEvent, Sleeper } from './world.js'

/** Puts groups to sleep, one way at a time for each. */
export interface Sleeps extends Sleeper {
  isFallingAsleep(group: string): boolean
  /**
   * Calls its falling asleep off, or waits for it where that cannot be; resolves when nothing of it is being stopped.
   */
  interrupt(group: string): Promise<void>
}

export interface SleepsInputs extends BedtimeInputs {
  readonly breaker: Breaker
  /** It is being started. */
  readonly isBusy: (group: string) => boolean
  /** Something changed about the group that the world does not tell of. */
  readonly told: (group: string) => void
  readonly record: (event: LifecycleEvent) => void
}

export function createSleeps(inputs: SleepsInputs): Sleeps {
  const { world, views, breaker, clock, log, told } = inputs
  const bedtimes = new Map<string, Bedtime>()
  const life = new AbortController()

  function find(name: string): { readonly group: Group; readonly groups: Groups } {
    const groups = world.groups()
    const group = groups?.byName.get(name)
    if (groups && group) return { group, groups }
    throw new HostlerError('NO_SUCH_GROUP', `nothing is called ${printable(name)}, or it is not known yet`)
  }

  const isNeeded = (group: string) => inputs.isBusy(group) || views.isNeeded(group)

  async function putToBed(wanted: Omit<Bed, 'isNeeded'>): Promise<SleepResult> {
    const { group, why, targets, isRemoval } = wanted
    if (targets.some(({ member }) => world.runtime(member.instance.source) === undefined)) return 'refused'
    const began = clock.elapsed()
    const bedtime = new Bedtime({ ...wanted, isNeeded: () => isNeeded(group) }, inputs, life.signal)
    bedtimes.set(group, bedtime)
    told(group)
    try {
      const outcome = await bedtime.done
      const result = outcome === 'asleep' && isRemoval ? 'removed' : outcome
      const ms = clock.elapsed() - began
      log.info({ group, why, result, ms: Math.round(ms) }, SAID[result])
      inputs.record({ what: 'slept', group, why, result, ms })
      if (result === 'asleep') breaker.calm(group)
      return outcome
    } finally {
      bedtimes.delete(group)
      told(group)
    }
  }

  return {
    isFallingAsleep: (group) => bedtimes.has(group),
    async interrupt(group) {
      const bedtime = bedtimes.get(group)
      bedtime?.turnBack()
      await bedtime?.done.catch(() => undefined)
    },
    async sleep(name, why) {
      const current = bedtimes.get(name)
      if (current) return current.bed.isRemoval ? 'refused' : current.done
      const { group, groups } = find(name)
      if (life.signal.aborted || isNeeded(name)) return 'refused'
      const targets = whoSleeps(group, groups)
      if (targets.length === 0) return views.isUp(name) ? 'refused' : 'asleep'
      return putToBed({ group: name, why, targets, isRemoval: false })
    },
    async remove(name, keys, why) {
      const { group, groups } = find(name)
      if (life.signal.aborted || bedtimes.has(name) || isNeeded(name)) return 'refused'
      const targets = whoIsRemoved(group, groups, keys)
      if (targets.length === 0) return 'refused'
      const result = await putToBed({ group: name, why, targets, isRemoval: true })
      return result === 'asleep' ? 'removed' : 'refused'
    },
    async stop() {
      life.abort(new HostlerError('STOPPING', 'Hostler is being stopped'))
      await Promise.allSettled([...bedtimes.values()].map(({ done }) => done))
    },
  }
}

const SAID: Readonly<Record<SleepResult | 'removed', string>> = {
  removed: 'containers of a group are removed',
  asleep: 'a group is asleep',
  cancelled: 'a group stays awake',
  refused: 'a group could not be put to sleep',
}
