import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../lib/clock.js'
import type { GroupViews } from './group-views.js'
import type { GroupState, Phase, WakeFailure, WakeStep, World } from './world.js'

/** What is shown of each group, and told to those who follow one. */
export interface GroupStates {
  state(group: string): GroupState | undefined
  /** @returns what ends it */
  follow(group: string, listener: (state: GroupState) => void): () => void
  /** Something about the group changed; followers are told at the next `tell`. */
  mark(group: string): void
  /** Looks at what was marked: at once where somebody follows. */
  tell(): void
  woken(group: string, wake: NonNullable<GroupState['lastWake']>): void
  stop(): void
}

/** To look at a group takes a while among thousands, which the change itself must not wait for. */
const UNFOLLOWED_MS = 200

/** What decides over a group's state beside facts and plan. */
export interface GroupStatesInputs {
  readonly world: Pick<World, 'groups'>
  readonly views: GroupViews
  readonly clock: Clock
  /** The steps of a start under way, or of the last one. */
  readonly steps: (group: string) => readonly WakeStep[]
  readonly isWaking: (group: string) => boolean
  readonly isFallingAsleep: (group: string) => boolean
  readonly failure: (group: string) => WakeFailure | undefined
  readonly crashing: (group: string) => GroupState['crashing']
}

interface Row {
  readonly phase: Phase
  readonly since: number
  readonly lastWake?: GroupState['lastWake']
}

export function createGroupStates(inputs: GroupStatesInputs): GroupStates {
  const { world, clock } = inputs
  const rows = new Map<string, Row>()
  /** Since when, in milliseconds since the epoch. */
  const marked = new Map<string, number>()
  const life = new AbortController()
  let isLookDue = false
  const followers = new Map<string, Map<object, Follower>>()

  function phaseOf(group: string): Phase {
    if (inputs.isWaking(group)) return 'waking'
    // Others may serve on while some of it are removed.
    if (inputs.views.isReady(group)) return 'awake'
    if (inputs.isFallingAsleep(group)) return 'falling-asleep'
    if (inputs.failure(group)) return 'failed'
    return inputs.views.isUp(group) ? 'waking' : 'asleep'
  }

  function look(group: string): Row {
    const before = rows.get(group)
    const phase = phaseOf(group)
    const since = marked.get(group) ?? clock.now()
    if (before?.phase === phase) return before
    const row = { ...before, phase, since }
    rows.set(group, row)
    return row
  }

  function state(group: string): GroupState | undefined {
    if (!world.groups()?.byName.has(group)) return undefined
    const { phase, since, lastWake } = look(group)
    const [failure, crashing] = [phase === 'awake' ? undefined : inputs.failure(group), inputs.crashing(group)]
    return {
      ...{ group, phase, since },
      steps: inputs.steps(group),
      ...(failure && { failure }),
      ...(crashing && { crashing }),
      ...(lastWake && { lastWake }),
    }
  }

  function told(group: string): void {
    const now = state(group)
    marked.delete(group)
    if (!now) {
      if (!followers.has(group)) rows.delete(group)
      return
    }
    for (const follower of [...(followers.get(group)?.values() ?? [])]) {
      if (isDeepStrictEqual(follower.last, now)) continue
      follower.last = now
      follower.listener(now)
    }
  }

  async function tellLater(): Promise<void> {
    if (isLookDue) return
    isLookDue = true
    const isOver = await clock.sleep(UNFOLLOWED_MS, life.signal).then(
      () => false,
      () => true,
    )
    isLookDue = false
    if (!isOver) for (const group of [...marked.keys()]) told(group)
  }

  return {
    state,
    mark(group) {
      if (!marked.has(group)) marked.set(group, clock.now())
    },
    tell() {
      for (const group of [...marked.keys()]) if (followers.has(group)) told(group)
      if (marked.size > 0) void tellLater()
    },
    stop: () => life.abort(),
    woken(group, lastWake) {
      rows.set(group, { ...look(group), lastWake })
    },
    follow(group, listener) {
      const [all, own] = [followers.get(group) ?? new Map<object, Follower>(), {}]
      followers.set(group, all.set(own, { listener, last: state(group) }))
      return () => {
        all.delete(own)
        if (all.size === 0 && followers.get(group) === all) followers.delete(group)
      }
    },
  }
}

interface Follower {
  readonly listener: (state: GroupState) => void
  last: GroupState | undefined
}
