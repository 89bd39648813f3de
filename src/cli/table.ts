import { printable } from '../lib/printable.js'

/** Two blanks part columns; they never touch, and the eye needs no lines. */
const GAP = 2

/**
 * Rows as aligned text: the lines of each row, without trailing blanks. The last column wraps within `width` under its
 * own start where that leaves it at least 20 characters; else it stays whole and the terminal breaks it.
 * @param options.right the column whose cells end, rather than begin, under each other: numbers
 */
export function table(rows: readonly (readonly string[])[], { width = 0, right = -1 } = {}): string[][] {
  const clean = rows.map((row) => row.map((cell) => printable(cell)))
  const last = clean.reduce((most, row) => Math.max(most, row.length), 1) - 1
  const widths = Array.from({ length: last }, (_, column) =>
    clean.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0),
  )
  const start = widths.reduce((sum, columnWidth) => sum + columnWidth + GAP, 0)
  return clean.map((row) => {
    const aligned = (cell: string, column: number, columnWidth: number) =>
      column === right ? cell.padStart(columnWidth) : cell.padEnd(columnWidth)
    const head = widths
      .map((columnWidth, column) => aligned(row[column] ?? '', column, columnWidth) + ' '.repeat(GAP))
      .join('')
    return wrap(row[last] ?? '', width - start).map((line, index) =>
      `${index === 0 ? head : ' '.repeat(start)}${line}`.trimEnd(),
    )
  })
}

/** Breaks a text at blanks so that no line is longer than `width`, unless a word is. Below 20 it is left whole. */
export function wrap(text: string, width: number): string[] {
  if (width < 20 || text.length <= width) return [text]
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}
