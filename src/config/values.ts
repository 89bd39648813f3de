import { z } from 'zod'

/**
 * The kinds of value a setting can have. Each reads both what YAML gives (numbers, booleans, lists) and what an
 * environment variable gives (text).
 */

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `1500ms`, `10s`, `15m`, `2h`, `1d` or `0` to milliseconds; undefined when it is none of them. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim())
  if (!match?.[1] || !match[2]) return undefined
  return Math.round(Number(match[1]) * (UNITS[match[2]] ?? 1))
}

/** Milliseconds to the shortest exact text: 90000 → `90s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0'
  const unit = ['d', 'h', 'm', 's'].find((name) => ms % (UNITS[name] ?? 1) === 0) ?? 'ms'
  return `${ms / (UNITS[unit] ?? 1)}${unit}`
}

export const text = () => z.coerce.string().trim()

export const duration = () =>
  z.union([z.string(), z.number()]).transform((value, context) => {
    const ms = parseDuration(String(value))
    if (ms !== undefined) return ms
    context.addIssue({ code: 'custom', message: 'is not a duration; write 500ms, 10s, 15m, 2h or 1d' })
    return z.NEVER
  })

export const bool = () =>
  z.union([z.boolean(), z.string()]).transform((value, context) => {
    const word = String(value).trim().toLowerCase()
    if (['true', 'yes', 'on', '1'].includes(word)) return true
    if (['false', 'no', 'off', '0', ''].includes(word)) return false
    context.addIssue({ code: 'custom', message: 'is neither true nor false' })
    return z.NEVER
  })

export const integer = (min: number, max: number) =>
  z.union([z.number(), z.string()]).transform((value, context) => {
    const number = typeof value === 'number' ? value : /^-?\d+$/.test(value.trim()) ? Number(value) : Number.NaN
    if (Number.isInteger(number) && number >= min && number <= max) return number
    context.addIssue({ code: 'custom', message: `is not a whole number from ${min} to ${max}` })
    return z.NEVER
  })

export const port = () => integer(1, 65_535)

/** A comma list (or a YAML list) of words, trimmed, without empty ones. */
export const list = () =>
  z
    .union([z.string(), z.array(z.string())])
    .transform((value) => (typeof value === 'string' ? value.split(',') : value).map((item) => item.trim()))
    .transform((items) => items.filter((item) => item !== ''))

/** A list of words that must all be among `words`. */
export const listOf = (...words: string[]) =>
  list().superRefine((items, context) => {
    for (const item of items) {
      if (!words.includes(item)) {
        context.addIssue({ code: 'custom', message: `does not know "${item}"; it takes ${words.join(', ')}` })
      }
    }
  })

export const oneOf = <const T extends string>(...words: T[]) =>
  z.union([z.string(), z.number()]).transform((value, context) => {
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
  z.union([z.string(), z.number()]).transform((value, context): Listen => {
    const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):)?(\d{1,5})$/.exec(String(value).trim())
    const number = Number(match?.[3])
    if (match && number <= 65_535) return { host: match[1] ?? match[2] ?? '0.0.0.0', port: number }
    context.addIssue({ code: 'custom', message: 'is not an address to listen on; write 127.0.0.1:8008' })
    return z.NEVER
  })

export const url = () =>
  z.string().transform((value, context) => {
    if (value.trim() === '') return ''
    if (/^https?:\/\/[^/\s]+/.test(value.trim()) && URL.canParse(value.trim())) return value.trim().replace(/\/+$/, '')
    context.addIssue({ code: 'custom', message: 'is not a URL; write http://host:port' })
    return z.NEVER
  })
