import { printable } from '../../lib/printable.js'

/**
 * Two processes under one name and one cleanup id would undo each other's entries without a word. Each puts a word of its own
 * into the heartbeat that they share, and so finds that of the other there.
 *
 * INVARIANT: a heartbeat is claimed back at most once in a lease, so that the two do not answer each other without an end.
 */
export interface Rivalry {
  /** Whose heartbeat it is now. @returns whether it is somebody else's who lives: it was ours before */
  met(process: string | undefined): boolean
  /** Whether the heartbeat is to be claimed back now. */
  mayClaim(): boolean
  /** It has been made ours. */
  claimed(): void
  /** Undefined where we are alone. */
  trouble(agent: string): string | undefined
}

export interface RivalryInputs {
  readonly process: string
  readonly announcer: string
  readonly leaseMs: number
  readonly elapsed: () => number
}

export function createRivalry({ process, announcer, leaseMs, elapsed }: RivalryInputs): Rivalry {
  let claimedAt: number | undefined
  let metAt: number | undefined
  let isForeign = false

  return {
    met(other) {
      isForeign = claimedAt !== undefined && other !== process
      if (isForeign) metAt = elapsed()
      return isForeign
    },
    mayClaim: () => isForeign && claimedAt !== undefined && elapsed() - claimedAt >= leaseMs,
    claimed() {
      claimedAt = elapsed()
      isForeign = false
    },
    trouble(agent) {
      if (metAt === undefined || elapsed() - metAt > RIVAL_LEASES * leaseMs) return undefined
      const name = printable(announcer, 120)
      return `another process announces at ${agent} as ${name} too, and each takes back what the other one announces; give each a HOSTLER_ANNOUNCE_NAME or a HOSTLER_CONSUL_CLEANUP_ID of its own`
    },
  }
}

/** Both claim it back in turn, each once in a lease. */
const RIVAL_LEASES = 3
