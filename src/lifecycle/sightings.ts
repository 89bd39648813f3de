import type { Clock } from '../lib/clock.js'
import type { IdleClock } from './idle-clock.js'
import type { Profiles } from './profile.js'

/** What runs and what does not, from look to look. */
export interface Sightings {
  /** Tells the idle clock of whoever is new. @returns the groups that run */
  take(profiles: Profiles): ReadonlySet<string>
  /** For how long a container has been seen stopped that would have been removed, in milliseconds; undefined: it is not. */
  stoppedMs(key: string): number | undefined
}

export function createSightings({ idle, clock }: { idle: IdleClock; clock: Clock }): Sightings {
  let last: Look | undefined
  let stopped: ReadonlyMap<string, number> = new Map()

  function noteNew({ all }: Profiles, before: Look | undefined): void {
    for (const { running, group } of all) {
      for (const { key, instance } of running) {
        if (before?.keys.has(key)) continue
        // At the first look, what is younger than its group's last use was made while Hostler was away.
        idle.touch(group.name, before ? 0 : clock.now() - instance.createdAt)
      }
    }
  }

  function noteEnded({ all }: Profiles): void {
    const now = new Map<string, number>()
    for (const { ended } of all) {
      for (const { key } of ended) now.set(key, stopped.get(key) ?? clock.elapsed())
    }
    stopped = now
  }

  return {
    take(profiles) {
      const isNew = last?.profiles !== profiles
      const found = isNew ? look(profiles) : (last ?? look(profiles))
      idle.sight(found.names)
      if (isNew) {
        noteNew(profiles, last)
        noteEnded(profiles)
      }
      last = found
      return found.names
    },
    stoppedMs(key) {
      const since = stopped.get(key)
      return since === undefined ? undefined : clock.elapsed() - since
    },
  }
}

interface Look {
  readonly profiles: Profiles
  /** Groups that run. */
  readonly names: ReadonlySet<string>
  /** Containers that run. */
  readonly keys: ReadonlySet<string>
}

function look(profiles: Profiles): Look {
  const names = new Set<string>()
  const keys = new Set<string>()
  for (const { running, group } of profiles.all) {
    if (running.length > 0) names.add(group.name)
    for (const { key } of running) keys.add(key)
  }
  return { profiles, names, keys }
}
