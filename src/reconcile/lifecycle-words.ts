import { ago, span } from '../lib/ago.js'
import type { GroupSummary } from './lifecycle-state.js'

/** What sleep and wake say of a group, for people. */

/** `awake, idle 2m, sleeps in 13m` */
export function outlook(group: GroupSummary, now: number): string {
  const { phase, since, trouble, retryAt } = group
  const until = retryAt === undefined || retryAt <= now ? '' : `; tried again from ${span(retryAt - now)} on`
  if (phase === 'failed') return `could not be started: ${trouble ?? 'the log says why'}${until}`
  const about = trouble === undefined ? '' : `; ${trouble}`
  if (phase === 'asleep') return `asleep${since > 0 ? ` since ${span(now - since)}` : ''}${about}`
  if (phase === 'waking') return `starting for ${span(now - since)}${about}`
  if (phase === 'falling-asleep') return `is being put to sleep for ${span(now - since)}`
  return `awake, ${prospect(group, now)}${about}`
}

function prospect({ idleSince, sleepsAt, keptBy, keptDetail }: GroupSummary, now: number): string {
  const idle = idleSince === undefined || now - idleSince < 1000 ? 'in use' : `idle ${span(now - idleSince)}`
  if (sleepsAt !== undefined) return `${idle}, sleeps ${sleepsAt <= now ? 'now' : `in ${span(sleepsAt - now)}`}`
  const why = KEPT[keptBy ?? ''] ?? keptBy
  return why === undefined ? idle : `${idle}, kept awake: ${why}${keptDetail === undefined ? '' : ` (${keptDetail})`}`
}

const KEPT: Readonly<Record<string, string>> = {
  setting: 'its idle time is 0',
  use: 'connections are open',
  change: 'it is on its way',
  container: 'a container of it may not sleep',
  job: 'a job of it still runs',
  need: 'another stack needs it',
  route: 'no route leads to it, so that no request could wake it',
  doubt: 'it cannot be told whether it is used',
  veto: 'the app has said "not now"',
}

/** `in 0.8 s, 5m ago` */
export const lastWake = ({ lastWake: last }: GroupSummary, now: number): string =>
  last === undefined ? '' : `in ${(last.ms / 1000).toFixed(1)} s, ${ago(last.at, now)}`
