import type { Clock } from '../../../lib/clock.js'
import type { Running, Step, WorkerKey } from './types.js'

/**
 * The servers that HAProxy had when it was last asked for all of them, for changes that come soon after: to list 5,000 takes
 * it and us 20 ms, which each change would pay. Servers of backends that were touched since are asked for anew. What
 * somebody else does to the others meanwhile is found by the next pass, which asks for everything.
 */
export interface KnownServers {
  /** Undefined when everything has to be asked. */
  recall(): Known | undefined
  /** HAProxy has been asked. @param leaving backends with servers that go by themselves once they are idle */
  learn(running: Running, asked: Asked, leaving: Iterable<string>): void
  /** These steps are about to be done. */
  touch(steps: readonly Step[]): void
  forget(): void
}

export type Asked = 'everything' | 'what was touched'

export interface Known {
  readonly worker: WorkerKey
  readonly backends: Running['backends']
  readonly servers: Running['servers']
  /** Backends whose servers may be others by now. */
  readonly touched: ReadonlySet<string>
}

export function createKnownServers(clock: Pick<Clock, 'elapsed'>, goodForMs: number): KnownServers {
  let known: Known | undefined
  let touched = new Set<string>()
  let wholeAt = 0
  return {
    recall: () => (clock.elapsed() - wholeAt > goodForMs ? undefined : known),
    learn(running, asked, leaving) {
      if (asked === 'everything') wholeAt = clock.elapsed()
      touched = new Set(leaving)
      known = { worker: running, backends: running.backends, servers: running.servers, touched }
    },
    touch(steps) {
      for (const step of steps) if ('backend' in step) touched.add(step.backend)
    },
    forget() {
      known = undefined
    },
  }
}
