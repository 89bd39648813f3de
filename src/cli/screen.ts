import { createPaint, type Paint } from './paint.js'
import { table } from './table.js'

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

/** `good`: works. `wait`: not yet. `bad`: needs somebody. `none`: a heading or a detail. */
export type Tone = 'good' | 'wait' | 'bad' | 'none'

/** Told apart by shape too: not everyone sees the colours, and a pipe has none. */
export const SIGNS: Readonly<Record<Tone, string>> = { good: '●', wait: '○', bad: '✗', none: ' ' }

export interface Row {
  readonly tone: Tone
  readonly cells: readonly string[]
}

/** A table with a sign before each row. Painted last, since colours have no width. */
export function signedTable(rows: readonly Row[], { paint, width }: Screen): string[] {
  const lines = table(
    rows.map(({ cells }) => cells),
    { width: width - 4 },
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
