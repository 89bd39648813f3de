import type { Clock } from '../../../lib/clock.js'
import type { PendingRemoval } from './executor-removals.js'
import type { Reply, RuntimeSession } from './socket.js'
import { type Command, commandLine } from './socket-command.js'

/**
 * HAProxy before 3.0 deletes a server although requests hold on to it: one whose connection has failed waits up to 1 s for its
 * next try, and is not counted meanwhile. It then reads memory that is no more, and the whole worker dies (2.6.12: `del server`
 * under traffic to a server that has just gone; 3.0 and later answer that it still has connections).
 *
 * In maintenance nothing new comes, and whoever has waited for a next try has had it after that second, and gone elsewhere. So a
 * server that had retries is deleted only when it has been seen without a session for longer than that.
 */
export const losesCount = ({ major }: { readonly major: number }): boolean => major < 3

const RETRY_MS = 1200

/** What a server that is in maintenance has to do with requests. */
export interface Use {
  readonly sessions: number
  /** Since it is there. */
  readonly retries: number
}

/** Nobody is there, and nobody ever had to try again. */
export const isUntouched = (use: Use | undefined): boolean => use?.sessions === 0 && use.retries === 0

type Named = Pick<PendingRemoval, 'backend' | 'server'>

export const useOf = async (session: RuntimeSession, server: Named): Promise<Use | undefined> =>
  parseUse(await session.ask(question(server)), server)

/** Lets through what may be deleted now. */
export interface Quiet {
  filter(session: RuntimeSession, removals: readonly Pending[]): Promise<Pending[]>
}

type Pending = readonly [name: string, removal: PendingRemoval]

export function createQuiet(clock: Clock): Quiet {
  /** Since when each has been seen without a session; one that is wanted again and removed again begins anew. */
  const since = new WeakMap<PendingRemoval, number>()

  function isQuiet(removal: PendingRemoval, use: Use | undefined): boolean {
    if (isUntouched(use)) return true
    if (use === undefined || use.sessions > 0) {
      since.delete(removal)
      // What is not there cannot be asked for its use; HAProxy says so.
      return use === undefined
    }
    const from = since.get(removal) ?? clock.elapsed()
    since.set(removal, from)
    return clock.elapsed() - from >= RETRY_MS
  }

  return {
    async filter(session, removals) {
      const careful = removals.filter(([, { isCareful }]) => isCareful)
      if (careful.length === 0) return [...removals]
      const replies = await session.askAll(careful.map(([, removal]) => question(removal)))
      const loud = new Set(
        careful.filter(([, removal], i) => !isQuiet(removal, replies[i] && parseUse(replies[i], removal))),
      )
      return removals.filter((one) => !loud.has(one))
    },
  }
}

/** Servers only, of one backend. */
const question = ({ backend }: Named): Command => commandLine('show', 'stat', backend, '4', '-1')

/** `show stat` as CSV; what follows the columns that are asked for may hold commas. */
function parseUse({ text }: Reply, { server }: Named): Use | undefined {
  const [heading = '', ...rows] = text.split('\n').map((line) => line.split(','))
  const column = (name: string) => (heading as string[]).indexOf(name)
  const row = rows.find((values) => values[column('svname')] === server)
  const [sessions, retries] = ['scur', 'wretr'].map((name) => Number(row?.[column(name)] || Number.NaN)) as [
    number,
    number,
  ]
  return Number.isNaN(sessions) || Number.isNaN(retries) ? undefined : { sessions, retries }
}
