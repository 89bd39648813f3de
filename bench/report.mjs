/** @typedef {{ of: string, atMost: number }} Target */

/**
 * A row of the report.
 * @typedef {object} Row
 * @property {string} [id] by which a chart finds it
 * @property {string} what
 * @property {string} unit `ms`, `MB`, …
 * @property {Target | Target[]} [target] which figure is held against what
 * @property {Record<string, number>} figures
 * @property {Record<string, number>} [ours] what a ratio in `figures` was made from, together with the baseline
 * @property {Record<string, number>} [baseline] the same of what this is compared with
 * @property {string} [note]
 */

export const verdictOf = ({ target, figures }) => {
  if (!target) return 'reported'
  return [target].flat().every(({ of, atMost }) => figures[of] <= atMost) ? 'met' : 'MISSED'
}

/** One aligned table. @param {{ name: string, rows: Row[] }[]} entries */
export function formatTable(entries) {
  const cells = entries.flatMap(({ rows }) => rows.map(cellsOf))
  const table = [['what', 'target', 'measured', 'verdict'], ...cells]
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)))
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  )
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '))
  return `${lines.join('\n')}\n`
}

/** One line for what `describeMachine` gave. */
export const formatMachine = ({ cores, cpu, memoryMiB, node, haproxy, docker, commit }) =>
  `${cores} × ${cpu}, ${memoryMiB} MiB, node ${node}, ${haproxy}, ${docker}, commit ${commit}`

function cellsOf(row) {
  const { what, target, unit, figures, note } = row
  const wanted = [target ?? []].flat().map(({ of, atMost }) => `${of} ≤ ${atMost} ${unit}`)
  const shown = Object.entries(figures).filter(([name]) => !['n', 'min', 'mean'].includes(name))
  const count = figures.n === undefined ? '' : ` (n=${figures.n})`
  const measured = `${shown.map(([name, value]) => `${name} ${short(value)}`).join(', ')} ${unit}${count}`
  return [what, wanted.join(', ') || '–', `${measured}${note ? `; ${note}` : ''}`, verdictOf(row)]
}

const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString())
