import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import type { Group } from '../model/groups.js'
import { type Instance, keyOf } from '../model/instance.js'
import { printable } from '../model/label-values.js'
import type { WishReader } from '../model/reader.js'
import type { Breaker } from './breaker.js'
import { CRASH_LOOP } from './bring-up.js'
import { createComings } from './comings.js'
import { whoNeeds } from './group-views.js'
import type { GroupState, World } from './world.js'

/** Draws conclusions from what containers do by themselves, or for somebody else. */
export interface Observer {
  look(): void
  /** How often in a row a container has ended within seconds. */
  crashes(key: string): number
  crashing(group: string): GroupState['crashing']
}

export interface ObserverInputs {
  readonly world: World
  readonly read: WishReader
  readonly breaker: Breaker
  /** Something changed about the group. */
  readonly told: (group: string) => void
  /** We are bringing this container up. */
  readonly isOnTrip: (key: string) => boolean
  readonly isWaking: (group: string) => boolean
  readonly clock: Clock
  readonly log: Logger
}

export function createObserver({ world, read, breaker, clock, log, ...inputs }: ObserverInputs): Observer {
  const groupOf = (instance: Instance) => read(instance)?.lifecycle.group ?? ''
  const serves = (instance: Instance): boolean =>
    (read(instance)?.routes.length ?? 0) > 0 && world.groups()?.members.get(keyOf(instance))?.isJob !== true

  /** Somebody has looked after it: what failed before may do better now. */
  function started(instance: Instance): void {
    const key = keyOf(instance)
    if (breaker.isClear() || inputs.isOnTrip(key)) return
    // Its own engine's new start is no such sign.
    if (comings.crashes(key) > 0) return
    const group = groupOf(instance)
    const groups = world.groups()?.byName ?? new Map<string, Group>()
    for (const one of [group, ...whoNeeds(groups, group)]) breaker.reset(one)
  }

  function crashed(instance: Instance, times: number): void {
    const group = groupOf(instance)
    if (times < CRASH_LOOP || inputs.isWaking(group)) return
    log.warn({ container: instance.name, group, times }, 'a container ends again and again within seconds')
    const service = printable(read(instance)?.service ?? instance.name)
    breaker.fail(group, { service, reason: 'its container ends again and again' })
  }

  const changed = (instance: Instance) => inputs.told(groupOf(instance))
  const comings = createComings({ clock, serves, told: { started, crashed, changed } })

  return {
    look: () => comings.look(world.instances() ?? []),
    crashes: comings.crashes,
    crashing(group) {
      for (const { key, wishes } of world.groups()?.byName.get(group)?.members ?? []) {
        const times = comings.crashes(key)
        if (times >= CRASH_LOOP) return { service: printable(wishes.service), times }
      }
      return undefined
    },
  }
}
