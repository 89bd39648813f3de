import { type Logger, type LoggerOptions, pino } from 'pino'

export type { Logger }

/** One JSON object a line, or one readable line for a person at a terminal. */
export function createLogger(options: { level: string; format: 'auto' | 'json' | 'text' }): Logger {
  const asText = options.format === 'text' || (options.format === 'auto' && process.stderr.isTTY === true)
  const settings: LoggerOptions = { level: options.level, base: null }
  return asText
    ? pino(settings, { write: (line) => void process.stderr.write(toText(line)) })
    : pino(settings, pino.destination({ dest: 2, sync: true }))
}

/** A logger that says nothing, for tests. */
export const silentLogger = (): Logger => pino({ level: 'silent' })

const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
}

function toText(line: string): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>
  const details = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const error = err as { message?: string } | undefined
  if (error?.message) details.push(`error=${error.message}`)
  const clock = new Date(Number(time)).toISOString().slice(11, 23)
  return `${clock} ${(LEVELS[Number(level)] ?? '?').padEnd(5)} ${msg}${details.length > 0 ? `  ${details.join(' ')}` : ''}\n`
}
