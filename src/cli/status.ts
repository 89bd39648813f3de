import { ago, span } from '../lib/ago.js'
import { printable } from '../lib/printable.js'
import type { Rejection } from '../model/plan.js'
import type { ProxyState, RegistryState, SourceState, State } from '../reconcile/state.js'
import {
  counted,
  createScreen,
  indented,
  type Row,
  type Screen,
  type ScreenOptions,
  SIGNS,
  signedTable,
  type Tone,
} from './screen.js'
import { changesBlocks } from './status-changes.js'
import { routesBlock } from './status-routes.js'
import { sleepBlock } from './status-sleep.js'

/**
 * What `hostler status` prints: whether all is well, what is routed where, and last, next to the prompt, what was
 * rejected and how to mend it. Every text is made fit for a terminal. Ends in a line break.
 */
export function formatStatus(state: State, options: ScreenOptions): string {
  const screen = createScreen(options)
  const blocks = [
    headline(state, screen),
    block('SOURCES', state.sources, sourceRows, screen),
    block('PROXIES', state.proxies, proxyRows, screen),
    block('REGISTRIES', state.registries ?? [], registryRows, screen),
    ...changesBlocks(state.proxies, screen),
    routesBlock(state, screen),
    sleepBlock(state, screen),
    rejections('IN PART', 'honoured only in part', 'wait', state.plan.warnings, screen),
    rejections('REJECTED', 'not honoured', 'bad', state.plan.rejections, screen),
  ]
  const shown = blocks.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'))
  return `${shown.join('\n\n')}\n`
}

function headline({ version, startedAt, domain, problems }: State, { paint, width, now }: Screen): string[] {
  const first = [
    paint.strong(`Hostler ${printable(version)}`),
    problems.length === 0 ? paint.good('ready') : paint.bad('not ready'),
    `up ${span(now - startedAt)}`,
    domain === '' ? 'no domain' : `domain ${printable(domain)}`,
  ]
  return [first.join('  '), ...problems.flatMap((problem) => indented(problem, '  ', width).map(paint.bad))]
}

function block<T>(title: string, items: readonly T[], rows: (item: T, now: number) => Row[], screen: Screen): string[] {
  if (items.length === 0) return []
  return [
    screen.paint.strong(title),
    ...signedTable(
      items.flatMap((item) => rows(item, screen.now)),
      screen,
    ),
  ]
}

function sourceRows({ name, instances, updatedAt, error }: SourceState, now: number): Row[] {
  const read = updatedAt === undefined ? 'never read' : `read ${ago(updatedAt, now)}`
  const state = error === undefined ? read : `${read}; ${error}`
  return [{ tone: toneOf(error, updatedAt !== undefined), cells: [name, counted(instances, 'instance'), state] }]
}

function registryRows({ name, entries, syncedAt, error, troubles }: RegistryState, now: number): Row[] {
  const state = error ?? (syncedAt === undefined ? 'not in step yet' : `in step ${ago(syncedAt, now)}`)
  return [
    { tone: toneOf(error, syncedAt !== undefined), cells: [name, `${entries} announced`, state] },
    ...troubles.map((trouble): Row => ({ tone: 'wait', cells: ['', '', trouble] })),
  ]
}

/** Trouble first, then what happened last, then the numbers. */
function proxyRows(proxy: ProxyState, now: number): Row[] {
  const { name, error, refused } = proxy
  const last = lastChange(proxy, now)
  return [
    { tone: toneOf(error, proxy.settled), cells: [name, error ?? last] },
    ...refused.map(({ backend, reason }): Row => ({ tone: 'bad', cells: ['', `left out ${backend}: ${reason}`] })),
    ...(error === undefined ? [] : [dimRow(`before that: ${last}`)]),
    dimRow(tally(proxy)),
  ]
}

const dimRow = (text: string): Row => ({ tone: 'none', cells: ['', text] })

function lastChange({ settled, changes: [last] }: ProxyState, now: number): string {
  if (!last) return settled ? 'in step since the start' : 'has taken nothing yet'
  return `${last.how} in ${Math.round(last.ms)} ms, ${ago(last.at, now)}`
}

/** `version 2.6.12, pid 4242, applies: 1 start, 4 reload, 2 failed` */
function tally({ details, applies, failures }: ProxyState): string {
  const facts = Object.entries(details).map(([name, value]) => `${name} ${value}`)
  const counts = Object.entries({ ...applies, failed: failures }).filter(([, count]) => count > 0)
  const applied = counts.length === 0 ? 'none' : counts.map(([how, count]) => `${count} ${how}`).join(', ')
  return [...facts, `applies: ${applied}`].join(', ')
}

function toneOf(error: string | undefined, isThere: boolean): Tone {
  if (error !== undefined) return 'bad'
  return isThere ? 'good' : 'wait'
}

function rejections(
  title: string,
  fate: string,
  tone: 'wait' | 'bad',
  items: readonly Rejection[],
  screen: Screen,
): string[] {
  if (items.length === 0) return []
  const { paint } = screen
  const heading = `${paint.strong(title)}  ${paint.dim(`${counted(items.length, 'label')} ${fate}`)}`
  return [heading, ...items.flatMap((item) => rejection(item, tone, screen))]
}

function rejection(item: Rejection, tone: 'wait' | 'bad', { paint, width }: Screen): string[] {
  const container = paint.strong(printable(item.container))
  const label = `${printable(item.label)} = "${printable(item.value)}"`
  return [
    `  ${paint[tone](SIGNS[tone])} ${container}  ${label}  ${paint.dim(printable(`(stack ${item.stack}, ${item.source})`))}`,
    ...indented(item.reason, '    ', width).map(paint[tone]),
    ...indented(item.remedy, '    ', width),
  ]
}
