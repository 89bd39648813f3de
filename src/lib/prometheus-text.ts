import { HostlerError } from './errors.js'
import { printable } from './printable.js'

/** One line of Prometheus's text format: `name{label="value"} 1.5e3 1700000000000`. */
export interface Sample {
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  /** NaN and infinities too. */
  readonly value: number
}

/**
 * Reads a text in pieces, and only the metrics that are asked for: of the rest, histograms mostly, a proxy with thousands of
 * services writes tens of megabytes.
 *
 * Strict where it reads: a line that is not understood, or a text that ends within one, is an error, since a count that is
 * lost would read as idleness. Throws METRICS_UNREADABLE.
 */
export interface SampleReader {
  /** A piece of the text; samples are told as their lines are complete. */
  push(piece: string): void
  /** @throws METRICS_UNREADABLE also when the last line has no end */
  end(): void
}

/** @param wanted what is done with the samples of a metric, by its name */
export function createSampleReader(wanted: ReadonlyMap<string, (sample: Sample) => void>): SampleReader {
  let rest = ''
  const read = (line: string): void => {
    const name = NAME.exec(line)?.[0]
    const use = name === undefined ? undefined : wanted.get(name)
    if (use && name !== undefined) use(sampleOf(line, name))
  }
  return {
    push(piece) {
      const text = rest + piece
      let start = 0
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
        read(text.slice(start, end))
        start = end + 1
      }
      rest = text.slice(start)
      if (rest.length > MAX_LINE) throw unreadable(rest, 'the line is too long')
    },
    end() {
      if (rest !== '') throw unreadable(rest, 'the text ends within a line')
    },
  }
}

/** Longer than any name of a service, and short enough not to fill the memory. */
const MAX_LINE = 1 << 16
const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/

function sampleOf(line: string, name: string): Sample {
  const { labels, end } = line[name.length] === '{' ? readLabels(line, name.length + 1) : NO_LABELS(name.length)
  // A timestamp may follow, and in OpenMetrics an exemplar.
  const words = /^[ \t]+(\S+)(?:[ \t]+-?\d+(?:\.\d+)?)?[ \t]*(?:# .*)?\r?$/.exec(line.slice(end))
  const value = numberOf(words?.[1] ?? '')
  if (value === undefined) throw unreadable(line, 'it has no value')
  return { name, labels, value }
}

const NO_LABELS = (end: number) => ({ labels: new Map<string, string>(), end })

/** `label="value"`, with `\\`, `\"` and `\n` in values; a comma may follow the last one. */
const LABEL = /[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(,?)/y
const CLOSING = /[ \t]*\}/y

function readLabels(line: string, start: number): { labels: Map<string, string>; end: number } {
  const labels = new Map<string, string>()
  let at = start
  for (let isMore = true; isMore; ) {
    LABEL.lastIndex = at
    const [whole = '', name = '', value = '', comma] = LABEL.exec(line) ?? []
    if (name !== '') labels.set(name, unescaped(value))
    at += whole.length
    isMore = comma === ','
  }
  CLOSING.lastIndex = at
  const closing = CLOSING.exec(line)
  if (closing === null) throw unreadable(line, 'its labels are not closed')
  return { labels, end: at + closing[0].length }
}

const unescaped = (text: string): string =>
  text.includes('\\') ? text.replace(/\\(.)/g, (both, escaped) => ESCAPES[escaped] ?? both) : text

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\', '"': '"', n: '\n' }

/** As Go writes numbers. */
function numberOf(text: string): number | undefined {
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return Number(text)
  if (/^nan$/i.test(text)) return Number.NaN
  const infinity = /^([+-]?)inf(?:inity)?$/i.exec(text)
  return infinity ? (infinity[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY) : undefined
}

const unreadable = (line: string, why: string) =>
  new HostlerError('METRICS_UNREADABLE', `a line of metrics cannot be read, ${why}: "${printable(line.slice(0, 200))}"`)
