import { HostlerError } from '../lib/errors.js'
import { printable } from '../model/label-values.js'
import { type Bed, Bedtime, type BedtimeInputs, type SleepResult } from './bedtime.js'
import type { Breaker } from './breaker.js'
import { whoSleeps } from './who-sleeps.js'
import type { LifecycleEvent, Sleeper, SleepReason } from './world.js'

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

  /** @returns what goes to sleep, or what there is to say at once */
  function prepared(group: string, why: SleepReason): Bed | SleepResult {
    const groups = world.groups()
    const found = groups?.byName.get(group)
    if (!groups || !found)
      throw new HostlerError('NO_SUCH_GROUP', `nothing is called ${printable(group)}, or it is not known yet`)
    const isNeeded = () => inputs.isBusy(group) || views.needers(group).length > 0
    if (isNeeded()) return 'refused'
    const targets = whoSleeps(found, groups, why, clock.now())
    const isOutOfReach = targets.some(({ member }) => world.runtime(member.instance.source) === undefined)
    if (isOutOfReach) return 'refused'
    if (targets.length > 0) return { group, why, targets, isNeeded }
    return views.isUp(group) ? 'refused' : 'asleep'
  }

  async function putToBed(bed: Bed): Promise<SleepResult> {
    const { group, why } = bed
    const began = clock.elapsed()
    const bedtime = new Bedtime(bed, inputs, life.signal)
    bedtimes.set(group, bedtime)
    told(group)
    try {
      const result = await bedtime.done
      const ms = clock.elapsed() - began
      log.info({ group, why, result, ms: Math.round(ms) }, SAID[result])
      inputs.record({ what: 'slept', group, why, result, ms })
      if (result === 'asleep') breaker.calm(group)
      return result
    } finally {
      bedtimes.delete(group)
      told(group)
    }
  }

  return {
    isFallingAsleep: (group) => bedtimes.has(group),
    async interrupt(group) {
      const bedtime = bedtimes.get(group)
      // What is too old goes, however much it is used.
      if (bedtime && bedtime.bed.why !== 'max-age') bedtime.turnBack()
      await bedtime?.done.catch(() => undefined)
    },
    async sleep(group, why) {
      if (life.signal.aborted) return 'refused'
      const current = bedtimes.get(group)
      if (current) return current.done
      const bed = prepared(group, why)
      return typeof bed === 'string' ? bed : putToBed(bed)
    },
    async stop() {
      life.abort(new HostlerError('STOPPING', 'Hostler is being stopped'))
      await Promise.allSettled([...bedtimes.values()].map(({ done }) => done))
    },
  }
}

const SAID: Readonly<Record<SleepResult, string>> = {
  asleep: 'a group is asleep',
  cancelled: 'a group stays awake',
  refused: 'a group could not be put to sleep',
}
