// A small chart as SVG text: panels of horizontal bars, one below the other. It brings its own background and follows the
// reader's preference for light or dark, so that it can be read wherever it is embedded.

/**
 * @typedef {object} Bar
 * @property {string} label
 * @property {number} value where the bar ends, or the dot is
 * @property {number} [to] how far a line goes on from there
 * @property {string} text what is written behind it
 * @property {boolean} [ours] drawn in the accent colour
 *
 * @typedef {object} Panel
 * @property {string} title
 * @property {string} about one line that says what is shown
 * @property {Bar[]} bars
 * @property {{ from: number, ticks: { at: number, label: string }[] }} [logarithmic] dots on such a scale, for values that lie far
 *   apart; a bar's length would say nothing there
 */

const [WIDTH, MARGIN, LABELS, TEXTS] = [800, 24, 236, 150]
const [ROW, BAR, HEAD, GAP] = [26, 14, 50, 22]
const PLOT = { left: MARGIN + LABELS, width: WIDTH - 2 * MARGIN - LABELS - TEXTS }

const STYLE = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .muted { fill: #59636e; font-size: 12px }
  .page { fill: #ffffff }
  .value { paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
  .grid { stroke: #d1d9e0 }
  .bar { fill: #9aa4ae; stroke: #9aa4ae }
  .ours { fill: #0969da; stroke: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .muted { fill: #9198a1 }
    .page { fill: #0d1117 }
    .value { stroke: #0d1117 }
    .grid { stroke: #3d444d }
    .bar { fill: #6e7781; stroke: #6e7781 }
    .ours { fill: #4493f8; stroke: #4493f8 }
  }
`

/** @param {{ title: string, panels: Panel[], foot: string }} chart */
export function drawChart({ title, panels, foot }) {
  const parts = []
  let y = MARGIN
  for (const panel of panels) {
    parts.push(drawPanel(panel, y))
    y += heightOf(panel) + GAP
  }
  const height = y + MARGIN
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escape(title)}</title>
<style>${STYLE}</style>
<rect class="page" width="${WIDTH}" height="${height}" rx="6"/>
${parts.join('\n')}
${text(MARGIN, y + 6, foot, { style: 'muted' })}
</svg>
`
}

const heightOf = ({ bars, logarithmic }) => HEAD + bars.length * ROW + (logarithmic ? ROW : 0)

function drawPanel({ title, about, bars, logarithmic }, top) {
  const scale = logarithmic ? logScale(logarithmic) : linearScale(bars)
  const below = top + HEAD + bars.length * ROW
  const head = [
    text(MARGIN, top + 14, title, { style: 'title' }),
    text(MARGIN, top + 34, about, { style: 'muted' }),
    ...(logarithmic ? logarithmic.ticks.map((tick) => drawTick(tick, scale, top + HEAD, below)) : []),
  ]
  const rows = bars.map((bar, index) => drawBar(bar, scale, top + HEAD + index * ROW, logarithmic !== undefined))
  return [...head, ...rows].join('\n')
}

const linearScale = (bars) => {
  const most = Math.max(...bars.map(({ value, to = value }) => to))
  return (value) => PLOT.left + (value / most) * PLOT.width
}

const logScale = ({ from, ticks }) => {
  const decades = Math.log(ticks.at(-1).at / from)
  return (value) => PLOT.left + (Math.log(Math.max(value, from) / from) / decades) * PLOT.width
}

function drawTick({ at, label }, scale, top, bottom) {
  const x = round(scale(at))
  const line = `<line class="grid" x1="${x}" x2="${x}" y1="${top}" y2="${bottom}"/>`
  return `${line}\n${text(x, bottom + 16, label, { style: 'muted', anchor: 'middle' })}`
}

function drawBar({ label, value, to = value, text: told, ours }, scale, top, isDot) {
  const [middle, style] = [top + ROW / 2, ours ? 'ours' : 'bar']
  const [x, end] = [round(scale(value)), round(scale(to))]
  const bar = `<rect class="${style}" x="${PLOT.left}" y="${middle - BAR / 2}" width="${x - PLOT.left}" height="${BAR}" rx="2"/>`
  const dot = [
    `<line class="${style}" x1="${x}" x2="${end}" y1="${middle}" y2="${middle}" stroke-width="3"/>`,
    `<circle class="${style}" cx="${x}" cy="${middle}" r="6"/>`,
  ].join('\n')
  return [
    text(PLOT.left - 12, middle + 4, label, { anchor: 'end' }),
    isDot ? dot : bar,
    text(Math.max(x + 8, end) + 10, middle + 4, told, { style: 'value' }),
  ].join('\n')
}

const text = (x, y, content, { style, anchor } = {}) =>
  `<text x="${x}" y="${y}"${style ? ` class="${style}"` : ''}${anchor ? ` text-anchor="${anchor}"` : ''}>${escape(content)}</text>`

const round = (value) => Math.round(value * 10) / 10

const escape = (value) =>
  value.replace(/[&<>"]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[character])
