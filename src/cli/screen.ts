import { printable } from '../lib/printable.js'
import { createPaint, type Paint } from './paint.js'
import { table, wrap } from './table.js'

/** What every part of a printed state needs to know. */
export interface Screen {
  readonly paint: Paint
  /** Columns of the terminal; 0 when the output is no terminal: nothing is wrapped then. */
  readonly width: number
  /** Milliseconds since the epoch. */
  readonly now: number
}

export interface ScreenOptions extends Omit<Screen, 'paint'> {
  readonly color: boolean
}

export const createScreen = ({ color, width, now }: ScreenOptions): Screen => ({
  paint: createPaint(color),
  width,
  now,
})

/** How this process's output is to be printed: plain and unwrapped when it is no terminal. */
export function terminal(): ScreenOptions {
  const { isTTY, columns } = process.stdout
  const color = isTTY === true && process.env['NO_COLOR'] === undefined
  return { color, width: isTTY ? columns : 0, now: Date.now() }
}

/** A text that wraps under its own start. */
export const indented = (text: string, indent: string, width: number): string[] =>
  wrap(printable(text), width - indent.length).map((line) => `${indent}${line}`)

/** `good`: works. `wait`: not yet. `bad`: needs somebody. `plain`: just so. `none`: a heading or a detail. */
export type Tone = 'good' | 'wait' | 'bad' | 'plain' | 'none'

/** Told apart by shape too: not everyone sees the colours, and a pipe has none. */
export const SIGNS: Readonly<Record<Tone, string>> = { good: '●', wait: '○', bad: '✗', plain: ' ', none: ' ' }

export interface Row {
  readonly tone: Tone
  readonly cells: readonly string[]
}

/** A table with a sign before each row. Painted last, since colours have no width. */
export function signedTable(rows: readonly Row[], { paint, width }: Screen, { right = -1 } = {}): string[] {
  const lines = table(
    rows.map(({ cells }) => cells),
    { width: width - 4, right },
  )
  return rows.flatMap(({ tone }, row) =>
    (lines[row] ?? []).map((line, index) => {
      if (tone === 'none') return `    ${paint.dim(line)}`
      return index === 0 ? `  ${paint[tone](SIGNS[tone])} ${line}` : `    ${line}`
    }),
  )
}

/** `1 route`, `2 routes`. */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`
