import { ago } from '../lib/ago.js'
import { printable } from '../lib/printable.js'
import { type AppliedChange, subjectOf } from '../reconcile/changes.js'
import type { ProxyState } from '../reconcile/state.js'
import { counted, type Row, type Screen, signedTable } from './screen.js'

/** How each of the last changes reached its proxy, the newest first: a list for each proxy that took any. */
export const changesBlocks = (proxies: readonly ProxyState[], screen: Screen): string[][] =>
  proxies
    .filter(({ changes }) => changes.length > 0)
    .map(({ name, changes }) => [
      `${screen.paint.strong('CHANGES')}  ${screen.paint.dim(printable(`the last ${changes.length === 1 ? 'change' : counted(changes.length, 'change')} of ${name}`))}`,
      ...signedTable([HEADING, ...rowsOf(changes, screen.now)], screen, { right: TOOK }),
    ])

const HEADING: Row = { tone: 'none', cells: ['WHEN', 'HOW', 'TOOK', 'WHAT'] }
const TOOK = 2

const rowsOf = (changes: readonly AppliedChange[], now: number): Row[] =>
  changes.map((change) => ({
    tone: 'plain',
    cells: [ago(change.at, now), change.how, `${Math.round(change.ms)} ms`, what(change)],
  }))

function what(change: AppliedChange): string {
  const subject = subjectOf(change)
  if (change.why === undefined) return subject
  return subject === '' ? `because ${change.why}` : `${subject}, because ${change.why}`
}
