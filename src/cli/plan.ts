import { basename } from 'node:path'
import { span } from '../lib/ago.js'
import { printable } from '../lib/printable.js'
import type { PlannedStep } from '../proxies/proxy.js'
import type { ProxyPreview, StatePreview } from '../reconcile/preview.js'
import { counted, createScreen, indented, type Screen, type ScreenOptions, SIGNS } from './screen.js'

/** More would push the beginning off the screen; `--json` has them all. */
const MAX_STEPS = 40

/** What `hostler plan` prints: for each proxy what would be done and why, and what is in the way. Ends in a line break. */
export function formatPreview(preview: StatePreview, options: ScreenOptions): string {
  const screen = createScreen(options)
  const blocks = [headline(preview, screen), ...preview.proxies.map((proxy) => proxyBlock(proxy, screen))]
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

function headline({ version, domain, problems, proxies }: StatePreview, { paint, width }: Screen): string[] {
  const first = [paint.strong(`Hostler ${printable(version)}`), verdict(proxies, paint)]
  if (domain !== '') first.push(`domain ${printable(domain)}`)
  return [first.join('  '), ...problems.flatMap((problem) => indented(problem, '  ', width).map(paint.bad))]
}

function verdict(proxies: readonly ProxyPreview[], paint: Screen['paint']): string {
  if (proxies.some(isHindered)) return paint.bad('something is in the way')
  if (proxies.every(({ how }) => how === 'nothing')) return paint.good('nothing to do')
  return paint.wait(proxies.some(({ how }) => how === 'reload') ? 'a reload is due' : 'a change is due')
}

const isHindered = ({ how, error }: ProxyPreview): boolean => how === 'blocked' || error !== undefined

function proxyBlock(proxy: ProxyPreview, screen: Screen): string[] {
  const { paint, width } = screen
  const { steps, files, refused, error, why } = proxy
  const details = (text: string, color: (line: string) => string) => indented(text, '    ', width).map(color)
  return [
    ...title(proxy, screen),
    ...stepLines(steps, screen),
    ...refused.flatMap(({ backend, reason }) => details(`leaves out ${backend}: ${reason}`, paint.bad)),
    ...(files.length === 0 ? [] : details(`writes ${files.map((file) => basename(file)).join(', ')}`, paint.dim)),
    ...(error === undefined || error === why ? [] : details(`the last attempt failed: ${error}`, paint.bad)),
  ]
}

function toneOf(proxy: ProxyPreview): 'good' | 'wait' | 'bad' {
  if (isHindered(proxy)) return 'bad'
  return proxy.how === 'nothing' ? 'good' : 'wait'
}

/** Wraps under the start of what is said. */
function title(proxy: ProxyPreview, { paint, width }: Screen): string[] {
  const tone = toneOf(proxy)
  const name = printable(proxy.name)
  const indent = ' '.repeat(name.length + 4)
  const [first = '', ...rest] = indented(deed(proxy), indent, width)
  return [`${paint[tone](SIGNS[tone])} ${paint.strong(name)}  ${first.trimStart()}`, ...rest]
}

function deed({ how, steps, waitMs, why = '' }: ProxyPreview): string {
  switch (how) {
    case 'nothing':
      return 'nothing to do: it has what the files say'
    case 'written':
      return 'nothing to do but to write files'
    case 'runtime':
      return `${counted(steps.length, 'step')} at run time, no reload`
    case 'reload':
      return `reload${waitMs === undefined ? '' : ` in ${span(Math.max(1000, waitMs))}, when its turn comes`}, because ${why}`
    case 'start':
      return 'start: it does not run'
    case 'watched':
      return 'follows the new file by itself'
    case 'blocked':
      return `nothing can be done: ${why}`
  }
}

const STEP_SIGNS = { add: '+', change: '~', remove: '-' } as const
const STEP_TONES = { add: 'good', change: 'wait', remove: 'bad' } as const

function stepLines(steps: readonly PlannedStep[], { paint, width }: Screen): string[] {
  const rest = steps.length - MAX_STEPS
  const lines = steps.slice(0, MAX_STEPS).flatMap(({ action, text }) => {
    const [first = '', ...more] = indented(text, '      ', width)
    return [`    ${paint[STEP_TONES[action]](STEP_SIGNS[action])} ${first.trimStart()}`, ...more]
  })
  return rest > 0 ? [...lines, paint.dim(`      and ${rest} more; --json has them all`)] : lines
}
