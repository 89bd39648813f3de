import type { Logger } from 'pino'
import { createAlarm } from '../../lib/alarm.js'
import type { Clock } from '../../lib/clock.js'
import { compareText } from '../../lib/compare.js'
import { messageOf } from '../../lib/errors.js'
import { type EtcdEntry, isOtherStore, type Listing } from '../../lib/etcd/keys.js'
import type { Change } from '../../lib/etcd/mirror.js'
import { createSorter } from '../../lib/sorter.js'
import { decodeInstance } from '../../model/announced.js'
import type { Instance } from '../../model/instance.js'

/** What is announced, as instances. A store that has lost everything is given time until its agents have announced again. */
export interface Announcements {
  /** @returns everything that is known now; the same array while nothing changed */
  replace(listing: Listing): readonly Instance[]
  apply(changes: readonly Change[]): readonly Instance[]
  snapshot(): readonly Instance[]
  /** How often something was learnt: what was listed meanwhile may be older than that. */
  learnt(): number
  /** Calls `changed` when what was waited for has not come back in time, until aborted. */
  expire(changed: () => void, signal: AbortSignal): Promise<void>
}

export interface AnnouncementsInputs {
  readonly source: string
  /** What every key begins with. */
  readonly prefix: string
  /** What follows in the keys of this process; undefined: it has none. */
  readonly own: string | undefined
  readonly leaseMs: number
  readonly clock: Clock
  readonly log: Logger
}

interface Known {
  readonly text: string
  /** Undefined: it is none. */
  readonly instance: Instance | undefined
}

export function createAnnouncements({ source, prefix, own, leaseMs, clock, log }: AnnouncementsInputs): Announcements {
  const alarm = createAlarm(clock)
  const sortById = createSorter<Instance>((a, b) => compareText(a.id, b.id))
  let known = new Map<string, Known>()
  /** Keys that a store which lost its state had before, and until when they count all the same. */
  let missed = new Map<string, number>()
  let learnt = 0
  let last: Pick<Listing, 'revision' | 'cluster'> | undefined
  let order: readonly Instance[] | undefined = []

  function read({ key, value }: EtcdEntry): Known {
    const before = known.get(key)
    if (before?.text === value) return before
    order = undefined
    try {
      return { text: value, instance: decodeInstance(value, { id: key.slice(prefix.length), source }) }
    } catch (error) {
      log.warn({ key: key.slice(0, 200), reason: messageOf(error) }, 'what is announced there is left out')
      // What was there before may well be better than nothing.
      return { text: value, instance: before?.instance }
    }
  }

  const isTheirs = ({ key }: Pick<EtcdEntry, 'key'>) => own === undefined || !key.startsWith(prefix + own)

  function replace(listing: Listing): readonly Instance[] {
    const isLost = last !== undefined && isOtherStore(last, listing)
    last = listing
    learnt++
    const fresh = new Map(listing.entries.filter(isTheirs).map((entry) => [entry.key, read(entry)]))
    const gone = [...known].filter(([key]) => !fresh.has(key))
    if (isLost && gone.length > 0) {
      log.warn(
        { instances: gone.length },
        'etcd has lost its state; what was announced counts until it is announced again',
      )
      missed = new Map(gone.map(([key]) => [key, clock.elapsed() + leaseMs]))
      alarm.ring()
    }
    for (const [key, before] of gone) {
      if (missed.has(key)) fresh.set(key, before)
      else order = undefined
    }
    for (const { key } of listing.entries) missed.delete(key)
    known = fresh
    return snapshot()
  }

  function apply(changes: readonly Change[]): readonly Instance[] {
    learnt++
    for (const { key, entry } of changes.filter(isTheirs)) {
      missed.delete(key)
      if (entry) known.set(key, read(entry))
      else if (known.delete(key)) order = undefined
    }
    return snapshot()
  }

  function snapshot(): readonly Instance[] {
    order ??= sortById([...known.values()].flatMap(({ instance }) => instance ?? []))
    return order
  }

  function forgetMissed(): boolean {
    const over = [...missed].filter(([, until]) => until <= clock.elapsed()).map(([key]) => key)
    for (const key of over) {
      missed.delete(key)
      known.delete(key)
    }
    if (over.length > 0) order = undefined
    return over.length > 0
  }

  return {
    ...{ replace, apply, snapshot },
    learnt: () => learnt,
    async expire(changed, signal) {
      while (!signal.aborted) {
        const first = Math.min(...missed.values())
        await alarm.wait(missed.size === 0 ? undefined : Math.max(first - clock.elapsed(), 0) + 1, signal)
        if (!signal.aborted && forgetMissed()) changed()
      }
    },
  }
}
