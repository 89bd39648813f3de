import { isIP } from 'node:net'
import { z } from 'zod'
import { formatDuration, parseDuration } from '../lib/duration.js'
import { readStatusRange } from '../model/label-values.js'

/**
 * The kinds of value a setting can have. Each reads both what YAML gives (numbers, booleans, lists) and what an
 * environment variable gives (text).
 */

/** What one YAML scalar or one environment variable gives. */
const scalar = () => z.union([z.string(), z.number(), z.boolean()], { error: 'takes a single value' })

export const text = () => scalar().transform((value) => String(value).trim())

/** A DNS name in lower case, or nothing. */
export const domain = () =>
  text().transform((value, context) => {
    const name = value.toLowerCase()
    const isLabel = (word: string) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(word)
    if (name === '' || (name.length <= 253 && name.split('.').every(isLabel))) return name
    context.addIssue({ code: 'custom', message: 'is not a domain name; write ci.example.com' })
    return z.NEVER
  })

/** Timers cannot wait longer: a larger number makes them fire at once. */
const LONGEST_MS = 24 * 86_400_000

/** Milliseconds, at least `minMs`. */
export const duration = (minMs = 0) =>
  scalar()
    .transform((value, context) => {
      const ms = parseDuration(String(value))
      if (ms === undefined) {
        context.addIssue({ code: 'custom', message: 'is not a duration; write 500ms, 10s, 15m, 2h or 1d' })
      } else if (ms < minMs || ms > LONGEST_MS) {
        const range = `${formatDuration(minMs)} to ${formatDuration(LONGEST_MS)}`
        context.addIssue({ code: 'custom', message: `is out of range; it takes ${range}` })
      }
      return ms ?? z.NEVER
    })
    .meta({ kind: 'duration' })

export const bool = () =>
  scalar().transform((value, context) => {
    const word = String(value).trim().toLowerCase()
    if (['true', 'yes', 'on', '1'].includes(word)) return true
    if (['false', 'no', 'off', '0', ''].includes(word)) return false
    context.addIssue({ code: 'custom', message: 'is neither true nor false' })
    return z.NEVER
  })

export const integer = (min: number, max: number) =>
  scalar().transform((value, context) => {
    const digits = String(value).trim()
    const number = /^-?\d+$/.test(digits) ? Number(digits) : Number.NaN
    if (Number.isInteger(number) && number >= min && number <= max) return number
    context.addIssue({ code: 'custom', message: `is not a whole number from ${min} to ${max}` })
    return z.NEVER
  })

export const port = () => integer(1, 65_535)

/** HTTP statuses: `200`, `200-399`, or a comma list of those. */
export const statuses = () =>
  text().transform((value, context) => {
    const read = readStatusRange(value)
    if ('value' in read) return read.value
    context.addIssue({ code: 'custom', message: `is no status range; ${read.complaint.remedy}` })
    return z.NEVER
  })

/** A comma list (or a YAML list) of words, trimmed, without empty ones. */
export const list = () =>
  z
    .union([scalar(), z.array(scalar())], { error: 'takes a comma list or a list of single values' })
    .transform((value) => (Array.isArray(value) ? value : String(value).split(',')).map((item) => String(item).trim()))
    .transform((items) => items.filter((item) => item !== ''))

/** A list of words that must all be among `words`. */
export const listOf = (...words: string[]) =>
  list().superRefine((items, context) => {
    for (const item of items) {
      if (!words.includes(item)) {
        context.addIssue({
          code: 'custom',
          message: `does not know ${JSON.stringify(item)}; it takes ${words.join(', ')}`,
        })
      }
    }
  })

export const oneOf = <const T extends string>(...words: T[]) =>
  scalar().transform((value, context) => {
    const word = words.find((known) => known === String(value).trim().toLowerCase())
    if (word !== undefined) return word
    context.addIssue({ code: 'custom', message: `takes ${words.join(', ')}` })
    return z.NEVER
  })

export interface Listen {
  readonly host: string
  readonly port: number
}

/** `HOST:PORT`, `[V6]:PORT` or `PORT` (on every address); port 0 picks a free one. */
export const listen = () =>
  scalar().transform((value, context): Listen => {
    const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):)?(\d{1,5})$/.exec(String(value).trim())
    const number = Number(match?.[3])
    if (match && number <= 65_535) return { host: match[1] || match[2] || '0.0.0.0', port: number }
    context.addIssue({ code: 'custom', message: 'is not an address to listen on; write 127.0.0.1:8008' })
    return z.NEVER
  })

/** The same, or `none` or nothing, which read as undefined. */
export const optionalListen = () =>
  scalar().transform((value, context): Listen | undefined => {
    if (['none', ''].includes(String(value).trim().toLowerCase())) return undefined
    const { data, error } = listen().safeParse(value)
    if (data) return data
    context.addIssue({ code: 'custom', message: `${error?.issues[0]?.message}, or none` })
    return z.NEVER
  })

/** `ADDRESS/BITS`, or an address for itself alone. */
export const network = () =>
  text().transform((value, context) => {
    const [address = '', bits = '', ...rest] = value.split('/')
    const size = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
    const number = bits === '' ? size : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
    if (rest.length === 0 && size > 0 && number >= 0 && number <= size) return `${address}/${number}`
    context.addIssue({ code: 'custom', message: 'is not a network; write 127.0.0.1/32' })
    return z.NEVER
  })

export const url = () =>
  text().transform((value, context) => {
    if (value === '') return ''
    if (/^https?:\/\/[^/\s]+/.test(value) && URL.canParse(value)) return value.replace(/\/+$/, '')
    context.addIssue({ code: 'custom', message: 'is not a URL; write http://host:port' })
    return z.NEVER
  })
