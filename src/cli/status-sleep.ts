import { printable } from '../lib/printable.js'
import type { GroupSummary } from '../reconcile/lifecycle-state.js'
import { lastWake, outlook } from '../reconcile/lifecycle-words.js'
import type { State } from '../reconcile/state.js'
import { indented, type Row, type Screen, signedTable, type Tone } from './screen.js'

/** Who sleeps, who is idle and for how long yet, and how the last start went. */
export function sleepBlock({ lifecycle }: State, screen: Screen): string[] {
  if (lifecycle === undefined || lifecycle.groups.length === 0) return []
  const { groups, held, dryRun, problems } = lifecycle
  const counts = ['awake', 'asleep', 'waking', 'falling-asleep', 'failed']
    .map((phase) => ({ phase, count: groups.filter((group) => group.phase === phase).length }))
    .filter(({ count }) => count > 0)
    .map(({ phase, count }) => `${count} ${phase.replace('-', ' ')}`)
  const facts = [...counts, ...(held > 0 ? [`${held} held`] : []), ...(dryRun ? ['dry run'] : [])]
  return [
    `${screen.paint.strong('SLEEP')}  ${screen.paint.dim(facts.join(', '))}`,
    ...problems.flatMap((problem) => indented(printable(problem), '  ', screen.width).map(screen.paint.bad)),
    ...signedTable([HEADING, ...groups.map((group) => rowOf(group, screen.now))], screen),
  ]
}

const HEADING: Row = { tone: 'none', cells: ['STACK', 'LAST WAKE', 'STATE'] }

const rowOf = (group: GroupSummary, now: number): Row => ({
  tone: TONES[group.phase] ?? 'plain',
  cells: [group.name, lastWake(group, now) || '–', outlook(group, now)],
})

const TONES: Readonly<Record<string, Tone>> = {
  awake: 'good',
  asleep: 'wait',
  waking: 'wait',
  'falling-asleep': 'wait',
  failed: 'bad',
}
