import { messageOf } from '../lib/errors.js'
import { createLimit } from '../lib/limit.js'
import type { Logger } from '../lib/logger.js'
import type { Action } from './decide.js'
import type { Profile } from './profile.js'
import type { Vetoes } from './veto.js'
import type { Sleeper, SleepReason } from './world.js'

/** What became of an action. `cancelled`: somebody came. `refused`: it cannot be done now. */
export type Outcome = 'asleep' | 'removed' | 'cancelled' | 'refused' | 'vetoed' | 'failed' | 'dry-run'

export interface Done {
  readonly group: string
  readonly what: Action['what']
  readonly why: SleepReason
  readonly outcome: Outcome
  /** Who vetoed, or what went wrong. */
  readonly detail?: string
}

/** Carries out what was decided, few at once, after a last look at whether it still holds. */
export interface Actor {
  /** @returns what was begun; who is being dealt with already is left out */
  begin(actions: readonly Action[], signal: AbortSignal): Promise<Done>[]
  /** Who said no when it was last asked. */
  vetoOf(group: string): string | undefined
  /** So far, by what, why and outcome: `sleep idle asleep`. */
  readonly counts: ReadonlyMap<string, number>
}

export interface ActorInputs {
  readonly sleeper: Sleeper
  readonly vetoes: Vetoes
  /** What is known of a group at this moment. */
  readonly profile: (group: string) => Profile | undefined
  /** Whether a group is idle long enough at this moment. */
  readonly isIdle: (group: string) => boolean
  /** A container of the group is about to be asked something. */
  readonly asking: (group: string) => void
  readonly dryRun: boolean
  readonly log: Logger
}

/** Each may wait for its connections to end and for its containers to stop. */
const WIDTH = 8

export function createActor({ sleeper, vetoes, profile, isIdle, asking, dryRun, log }: ActorInputs): Actor {
  const limited = createLimit(WIDTH)
  const busy = new Set<string>()
  const vetoed = new Map<string, string>()
  const counts = new Map<string, number>()
  let told: ReadonlySet<string> = new Set()

  async function run(action: Action, signal: AbortSignal): Promise<Done> {
    try {
      const [outcome, detail] = await limited(() => attempt(action, signal))
      return finish(action, outcome, detail)
    } catch (err) {
      if (!signal.aborted) log.error({ err, group: action.group }, 'a stack could not be put to sleep')
      return finish(action, 'failed', messageOf(err))
    } finally {
      busy.delete(action.group)
    }
  }

  async function attempt(action: Action, signal: AbortSignal): Promise<[Outcome, string?]> {
    signal.throwIfAborted()
    if (action.what === 'remove') {
      return dryRun ? ['dry-run'] : [await sleeper.remove(action.group, action.keys, action.why)]
    }
    // It may have waited for its turn.
    if (!isIdle(action.group)) return ['cancelled']
    const no = await veto(action.group, signal)
    if (no !== undefined) return ['vetoed', no]
    if (!isIdle(action.group)) return ['cancelled']
    return dryRun ? ['dry-run'] : [await sleeper.sleep(action.group, action.why)]
  }

  async function veto(name: string, signal: AbortSignal): Promise<string | undefined> {
    const known = profile(name)
    if (!known?.running.some(({ wishes }) => wishes.lifecycle.veto)) return undefined
    asking(name)
    const no = await vetoes.ask(known, signal)
    if (no === undefined) vetoed.delete(name)
    else vetoed.set(name, no)
    return no
  }

  function finish({ group, what, why }: Action, outcome: Outcome, detail?: string): Done {
    const name = `${what} ${why} ${outcome}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
    const done = { group, what, why, outcome, ...(detail !== undefined && { detail }) }
    if (outcome === 'dry-run' ? !told.has(keyOf(done)) : LOUD.includes(outcome)) log.info(done, SENTENCES[outcome])
    else log.debug(done, SENTENCES[outcome])
    return done
  }

  return {
    counts,
    vetoOf: (group) => vetoed.get(group),
    begin(actions, signal) {
      const wanted = new Set(actions.map(({ group }) => group))
      for (const group of vetoed.keys()) if (!wanted.has(group)) vetoed.delete(group)
      const begun: Promise<Done>[] = []
      for (const action of actions) {
        if (busy.has(action.group)) continue
        busy.add(action.group)
        begun.push(run(action, signal))
      }
      // What would be done is said when it is first due, not with every pass.
      if (dryRun) void Promise.all(begun).then((all) => (told = new Set(all.map(keyOf))))
      return begun
    },
  }
}

const keyOf = ({ group, what, why }: Pick<Done, 'group' | 'what' | 'why'>): string => `${what} ${why} ${group}`

const LOUD: readonly Outcome[] = ['asleep', 'removed', 'refused']

const SENTENCES: Readonly<Record<Outcome, string>> = {
  asleep: 'a stack was put to sleep',
  removed: 'containers were removed',
  cancelled: 'a stack was to sleep, and somebody came',
  refused: 'a stack cannot be put to sleep now',
  vetoed: 'a stack was to sleep, and says that this is not the moment',
  failed: 'a stack could not be put to sleep',
  'dry-run': 'this would be put to sleep or removed, were this no dry run',
}
