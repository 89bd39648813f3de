import { codeOf, messageOf } from '../../lib/errors.js'
import { createLimit } from '../../lib/limit.js'

export interface Outcome {
  entries: number
  written: number
  removed: number
  readonly troubles: string[]
}

export const noOutcome = (): Outcome => ({ entries: 0, written: 0, removed: 0, troubles: [] })

/** Many writes at a time, of which one that Consul refuses is a trouble of its own, and one that fails fails all. */
export interface Attempts {
  readonly outcome: Outcome
  /** @param refused called when Consul refuses this one */
  make(what: string, job: () => Promise<void>, refused?: () => void): void
  /** Waits for all that was made, so that none is still under way when the first failure is told. @throws that failure */
  settled(): Promise<void>
  /** @throws HostlerError when nothing at all was allowed */
  conclude(): Outcome
}

const WRITES_AT_ONCE = 16

export function createAttempts(): Attempts {
  const limited = createLimit(WRITES_AT_ONCE)
  const outcome = noOutcome()
  const denials: unknown[] = []
  let jobs: Promise<unknown>[] = []
  return {
    outcome,
    make(what, job, refused) {
      const attempted = limited(job).catch((error: unknown) => {
        if (!isAboutOne(error)) throw error
        if (codeOf(error) === 'CONSUL_DENIED') denials.push(error)
        outcome.troubles.push(`${what}: ${messageOf(error)}`)
        refused?.()
      })
      jobs.push(attempted)
    },
    async settled() {
      const made = jobs
      jobs = []
      for (const result of await Promise.allSettled(made)) if (result.status === 'rejected') throw result.reason
    },
    conclude() {
      if (denials.length > 0 && outcome.entries === 0 && outcome.removed === 0) throw denials[0]
      return outcome
    },
  }
}

/** Consul says no to this entry; it may well say yes to another. */
const isAboutOne = (error: unknown): boolean =>
  codeOf(error) === 'CONSUL_REFUSED' || (codeOf(error) === 'CONSUL_DENIED' && !/ACL not found/i.test(messageOf(error)))
