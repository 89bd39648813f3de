import { createHash } from 'node:crypto'
import { formatDuration } from '../lib/duration.js'
import { HostlerError } from '../lib/errors.js'

/** What a template can call. Each takes plain values and returns a plain value; none reads anything but its arguments. */
export interface TemplateHelper {
  /** One line for docs/templates.md. */
  readonly description: string
  /** How it is written in a template, and what comes out. */
  readonly example: readonly [template: string, result: string]
  readonly call: (...values: never[]) => unknown
}

const helper = (
  description: string,
  template: string,
  result: string,
  call: TemplateHelper['call'],
): TemplateHelper => ({ description, example: [template, result], call })

/** Every helper, by name: documented in a table of docs/templates.md, which a test compares with this one. */
export const helpers: Readonly<Record<string, TemplateHelper>> = {
  eq: helper('equal', '{{#if (eq 1 1)}}yes{{/if}}', 'yes', (a: unknown, b: unknown) => a === b),
  ne: helper('not equal', '{{#if (ne 1 2)}}yes{{/if}}', 'yes', (a: unknown, b: unknown) => a !== b),
  gt: helper('greater than', '{{#if (gt 2 1)}}yes{{/if}}', 'yes', (a: number, b: number) => a > b),
  lt: helper('less than', '{{#if (lt 1 2)}}yes{{/if}}', 'yes', (a: number, b: number) => a < b),
  and: helper('the last value, if all are true', '{{and 1 "x"}}', 'x', (...values: unknown[]) =>
    values.reduce((result, value) => (isTrue(result) ? value : result)),
  ),
  or: helper('the first true value', '{{or "" "x"}}', 'x', (...values: unknown[]) =>
    values.reduce((result, value) => (isTrue(result) ? result : value)),
  ),
  not: helper('true for false, empty and 0', '{{not ""}}', 'true', (value: unknown) => !isTrue(value)),
  lower: helper('lower case', '{{lower "Web"}}', 'web', (value: unknown) => String(value).toLowerCase()),
  upper: helper('upper case', '{{upper "Web"}}', 'WEB', (value: unknown) => String(value).toUpperCase()),
  concat: helper('values one after the other', '{{concat "a" "-" 1}}', 'a-1', (...values: unknown[]) =>
    values.join(''),
  ),
  join: helper(
    'a list with a separator',
    '{{join (list "a" "b") ", "}}',
    'a, b',
    (values: unknown[], separator: string) => values.join(separator),
  ),
  list: helper('a list of its arguments', '{{join (list 1 2) "+"}}', '1+2', (...values: unknown[]) => values),
  replace: helper(
    'every occurrence of a text by another',
    '{{replace "a.b" "." "-"}}',
    'a-b',
    (value: unknown, from: string, to: string) => String(value).replaceAll(from, to),
  ),
  startsWith: helper(
    'whether a text starts with another',
    '{{#if (startsWith "app-r1" "app-")}}yes{{/if}}',
    'yes',
    (value: unknown, start: string) => String(value).startsWith(start),
  ),
  endsWith: helper(
    'whether a text ends with another',
    '{{#if (endsWith "a.test" ".test")}}yes{{/if}}',
    'yes',
    (value: unknown, end: string) => String(value).endsWith(end),
  ),
  matches: helper(
    'whether a text matches a regular expression',
    '{{#if (matches "app-r1" "^app-r[0-9]+$")}}yes{{/if}}',
    'yes',
    (value: unknown, pattern: string) => new RegExp(pattern).test(String(value)),
  ),
  where: helper(
    'the items of a list whose field has a value',
    '{{#each (where backends "stack" "shop")}}…{{/each}}',
    '…',
    (items: Readonly<Record<string, unknown>>[], field: string, value: unknown) =>
      items.filter((item) => item[field] === value),
  ),
  add: helper('the sum', '{{add 1 2}}', '3', (a: number, b: number) => a + b),
  default: helper(
    'a value, or another when it is empty',
    '{{default "" "none"}}',
    'none',
    (value: unknown, other: unknown) => (isTrue(value) ? value : other),
  ),
  duration: helper('milliseconds as a duration', '{{duration 1500}}', '1500ms', (ms: number) => formatDuration(ms)),
  hostport: helper(
    'address and port, IPv6 in brackets',
    '{{hostport "::1" 80}}',
    '[::1]:80',
    (address: string, port: number) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`),
  ),
  regex: helper('a text as a regular expression that matches just it', '{{regex "a.b"}}', 'a\\.b', (value: unknown) =>
    String(value).replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'),
  ),
  quote: helper('one word of a HAProxy line, whatever it holds', '{{quote "it\'s"}}', "'it'\\''s'", haproxyWord),
  yaml: helper('a value as a YAML (JSON) scalar', '{{yaml "a: b"}}', '"a: b"', (value: unknown) =>
    JSON.stringify(value),
  ),
  hash: helper('8 hexadecimal digits that stand for a text', '{{hash "shop"}}', hash('shop'), hash),
}

/** Handlebars' own truth: false for false, null, '', 0 and an empty list. */
const isTrue = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : Boolean(value))

function hash(value: unknown): string {
  return createHash('sha256').update(String(value)).digest('hex').slice(0, 8)
}

/** Strong quoting as section 2.2 of HAProxy's manual has it: nothing is special between single quotes. */
function haproxyWord(value: unknown): string {
  const text = String(value)
  if (/[\u0000-\u001f\u007f]/.test(text)) {
    throw new HostlerError('TEMPLATE', 'quote was given a control character, which no HAProxy line can hold')
  }
  return `'${text.replaceAll("'", "'\\''")}'`
}
