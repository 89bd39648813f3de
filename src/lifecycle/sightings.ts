import type { Clock } from '../lib/clock.js'
import type { Groups } from '../model/groups.js'
import { isRunning } from './decide.js'
import type { IdleClock } from './idle-clock.js'

/** What runs and what does not, from look to look. */
export interface Sightings {
  /** Tells the idle clock of whoever is new. @returns the groups that run */
  take(groups: Groups): ReadonlySet<string>
  /** For how long a container has been seen stopped, in milliseconds; undefined: it is not. */
  stoppedMs(key: string): number | undefined
}

export function createSightings({ idle, clock }: { idle: IdleClock; clock: Clock }): Sightings {
  let ran: ReadonlySet<string> | undefined
  let stopped: ReadonlyMap<string, number> = new Map()

  return {
    take({ byName, members }) {
      const running = new Set<string>()
      const runs = new Set<string>()
      const stops = new Map<string, number>()
      for (const [key, member] of members) {
        if (isRunning(member)) runs.add(key)
        else if (member.instance.state === 'stopped') stops.set(key, stopped.get(key) ?? clock.elapsed())
      }
      for (const [name, group] of byName) if (group.members.some(({ key }) => runs.has(key))) running.add(name)
      idle.sight(running)
      for (const key of runs) {
        const member = ran?.has(key) ? undefined : members.get(key)
        // At the first look, what is younger than its group's last use was made while Hostler was away.
        const agoMs = ran ? 0 : clock.now() - (member?.instance.createdAt ?? 0)
        if (member) idle.touch(member.wishes.lifecycle.group, agoMs)
      }
      ran = runs
      stopped = stops
      return running
    },
    stoppedMs(key) {
      const since = stopped.get(key)
      return since === undefined ? undefined : clock.elapsed() - since
    },
  }
}
