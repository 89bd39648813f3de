import type { Clock } from '../lib/clock.js'
import { differenceOf } from '../lib/difference.js'
import { type Instance, isLive, keyOf } from '../model/instance.js'

/**
 * Reads from facts alone, whoever caused them, what containers do: that one was started, that one ended, and whether it
 * does so again and again.
 *
 * One that exits by itself after it has served is asleep, and that is well; so do apps that end when they are idle. One
 * that ends within seconds of being ready, or before, has crashed. One that was told to stop has done neither.
 */
export interface Comings {
  /** Looks at what is new since the last time. */
  look(instances: readonly Instance[]): void
  /** How often in a row it has ended within seconds; 0 once it has stayed. */
  crashes(key: string): number
}

export interface ComingsInputs {
  /** Whether routes lead to it. */
  readonly serves: (instance: Instance) => boolean
  readonly clock: Clock
  readonly told: {
    /** It came up from rest. */
    started(instance: Instance): void
    /** It ended within seconds, for the so-manieth time in a row. */
    crashed(instance: Instance, times: number): void
    /** Whatever it was, it is something else now, or gone. */
    changed(instance: Instance): void
  }
}

/** It has stayed. */
const STAYS_MS = 10_000

export function createComings({ serves, clock, told }: ComingsInputs): Comings {
  const lives = new Map<string, Life>()
  let last: readonly Instance[] = []

  function changed(before: Instance | undefined, now: Instance): void {
    const key = keyOf(now)
    if (before && isAtRest(before) && now.state === 'running') told.started(now)
    if (isLive(now) && !(before && isLive(before)))
      lives.set(key, { crashes: crashes(key), liveSince: clock.elapsed() })
    else if (before && hasCrashed(before, now)) ended(key, now)
    else if (before?.state === 'stopping' && isAtRest(now)) lives.delete(key)
    told.changed(now)
  }

  /** What serves nobody may end when it has done its work; that its engine starts it again tells that it has not. */
  function hasCrashed(before: Instance, now: Instance): boolean {
    if (before.state === 'running' && now.state === 'restarting') return true
    if (before.state === 'running' && now.state === 'stopped') return serves(now)
    return before.state === 'stopped' && now.state === 'restarting' && !serves(now)
  }

  function ended(key: string, now: Instance): void {
    const since = lives.get(key)?.liveSince
    const times = since !== undefined && clock.elapsed() - since >= STAYS_MS ? 0 : crashes(key) + 1
    lives.set(key, { crashes: times })
    if (times > 0) told.crashed(now, times)
  }

  function crashes(key: string): number {
    const life = lives.get(key)
    if (life?.liveSince !== undefined && clock.elapsed() - life.liveSince >= STAYS_MS) return 0
    return life?.crashes ?? 0
  }

  function vanished(instance: Instance): void {
    lives.delete(keyOf(instance))
    told.changed(instance)
  }

  return {
    crashes,
    look(instances) {
      if (instances === last) return
      const before = last
      last = instances
      const { gone, come } = differenceOf(before, instances)
      const left = new Map(gone.map((instance) => [keyOf(instance), instance]))
      for (const now of come) {
        const key = keyOf(now)
        changed(left.get(key), now)
        left.delete(key)
      }
      for (const instance of left.values()) vanished(instance)
    },
  }
}

interface Life {
  readonly crashes: number
  readonly liveSince?: number
}

const isAtRest = ({ state }: Instance): boolean => state === 'stopped' || state === 'paused'
