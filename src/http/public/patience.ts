import type { Clock } from '../../lib/clock.js'
import type { Waker, World } from '../../lifecycle/world.js'

/** Waits for groups to be awake, on behalf of requests that come and go. */
export interface Patience {
  /**
   * Asks for a group to be awake. @returns whether it is within `ms`
   * @throws what the waker throws, or the signal's reason
   */
  awake(group: string, limits: Limits): Promise<boolean>
  /** Waits for `probe` to find something, looking again whenever the world changes. @returns undefined after `ms` */
  until<T>(probe: () => T | undefined, limits: Limits): Promise<T | undefined>
  /** Ends every wait, those to come too, with `WaitsClosed`. */
  close(): void
}

/** One for all: an abort without a reason makes an error with a stack each time. */
const SETTLED = new Error('the wait is over')

export class WaitsClosed extends Error {}

export interface Limits {
  readonly ms: number
  readonly signal: AbortSignal
}

interface Parts {
  readonly world: Pick<World, 'onChange'>
  readonly waker: Pick<Waker, 'wake'>
  readonly clock: Clock
}

export function createPatience({ world, waker, clock }: Parts): Patience {
  const gates = createGates(waker)
  const waits = createWaits(clock)
  return {
    close: waits.close,
    awake: async (group, limits) => {
      const isAwake = await waits.wait<true>(limits, (give, fail) =>
        gates.wait(group, (error) => (error === undefined ? give(true) : fail(error))),
      )
      return isAwake === true
    },
    until: (probe, limits) =>
      waits.wait(limits, (give) => {
        const look = () => {
          const found = probe()
          if (found !== undefined) give(found)
        }
        const end = world.onChange(look)
        look()
        return end
      }),
  }
}

/**
 * Asks the waker once for all who wait for a group. Those who leave are forgotten at once: the waker's promise, which may
 * take minutes, holds on to none of them.
 */
function createGates(waker: Pick<Waker, 'wake'>) {
  type Done = (error?: unknown) => void
  const gates = new Map<string, Set<Done>>()
  const open = (group: string): Set<Done> => {
    const waiting = new Set<Done>()
    gates.set(group, waiting)
    const release = (error?: unknown) => {
      gates.delete(group)
      for (const done of waiting) done(error)
    }
    waker.wake(group).then(
      () => release(),
      (error: unknown) => release(error ?? new Error('it could not be started')),
    )
    return waiting
  }
  return {
    /** @returns what leaves the queue */
    wait(group: string, done: Done): () => void {
      const waiting = gates.get(group) ?? open(group)
      waiting.add(done)
      return () => void waiting.delete(done)
    },
  }
}

type Begin<T> = (give: (value: T) => void, fail: (error: unknown) => void) => () => void

function createWaits(clock: Clock) {
  const failing = new Set<(error: Error) => void>()
  let closed: Error | undefined
  return {
    close() {
      closed = new WaitsClosed('the public port is being closed')
      for (const fail of failing) fail(closed)
    },
    /** Whatever comes first: what is waited for, its failure, the end of patience (undefined), the client's leaving. */
    wait<T>({ ms, signal }: Limits, begin: Begin<T>): Promise<T | undefined> {
      return new Promise((resolve, reject) => {
        const timer = new AbortController()
        let end: () => void = () => undefined
        const settle = (act: () => void) => {
          timer.abort(SETTLED)
          signal.removeEventListener('abort', leave)
          failing.delete(fail)
          end()
          act()
        }
        const fail = (error: unknown) => settle(() => reject(error))
        const leave = () => fail(signal.reason)
        if (closed) return fail(closed)
        if (signal.aborted) return leave()
        signal.addEventListener('abort', leave)
        failing.add(fail)
        clock.sleep(ms, timer.signal).then(
          () => settle(() => resolve(undefined)),
          () => undefined,
        )
        end = begin((value) => settle(() => resolve(value)), fail)
        // It may have been settled while it began.
        if (timer.signal.aborted) end()
      })
    },
  }
}
