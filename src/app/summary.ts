import type { ReaperState } from '../lifecycle/reaper.js'
import type { GroupState, Waker, World } from '../lifecycle/world.js'
import type { Group } from '../model/groups.js'
import type { GroupSummary, LifecycleState } from '../reconcile/lifecycle-state.js'

/** What status, page and metrics tell of sleep and wake. */
export function summarise(
  world: Pick<World, 'groups'>,
  waker: Pick<Waker, 'state'>,
  reaper: ReaperState,
  held: number,
): LifecycleState {
  const outlooks = new Map(reaper.groups.map((outlook) => [outlook.group, outlook]))
  const groups = [...(world.groups()?.byName.values() ?? [])].filter(canWake)
  const { dryRun, lookedAt, problems, counts } = reaper
  return {
    ...{ held, dryRun, problems, counts },
    ...(lookedAt !== undefined && { lookedAt }),
    groups: groups
      .map(({ name }): GroupSummary => {
        const { group: _, ...outlook } = outlooks.get(name) ?? { group: name }
        return { name, ...brief(waker.state(name)), ...outlook }
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  }
}

const canWake = ({ members }: Group): boolean => members.some(({ wishes }) => wishes.lifecycle.wake)

function brief(state: GroupState | undefined): Omit<GroupSummary, 'name'> {
  if (!state) return { phase: 'awake', since: 0 }
  const { phase, since, lastWake, failure, crashing } = state
  const trouble = failure
    ? `${failure.service}: ${failure.reason}`
    : crashing && `${crashing.service} has ended within seconds, ${crashing.times} times`
  return {
    ...{ phase, since },
    ...(lastWake && { lastWake }),
    ...(trouble !== undefined && { trouble }),
    ...(failure && { retryAt: failure.retryAt }),
  }
}
