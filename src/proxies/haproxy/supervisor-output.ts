import type { Logger } from '../../lib/logger.js'

/** What a supervised HAProxy writes, on its way into our log. */
export interface HaproxyOutput {
  /** Follows a stream of lines to its end. */
  follow(lines: AsyncIterable<string>): Promise<void>
  /** Marks the present; `since` gives the alerts and warnings after it. */
  mark(): number
  since(mark: number): string
}

const KEPT_LINES = 200
const LONGEST_LINE = 4096

/** One log line per line: `[ALERT]` is an error, `[WARNING]` a warning, the rest debug. */
export function createOutput(log: Logger): HaproxyOutput {
  let count = 0
  let kept: { number: number; line: string }[] = []

  function take(raw: string): void {
    if (raw.trim() === '') return
    const line = raw.slice(0, LONGEST_LINE)
    const { level, pid, text } = parseLine(line)
    log[level]({ ...(pid !== undefined && { pid }), line: text }, 'HAProxy says')
    if (level === 'debug') return
    count += 1
    kept.push({ number: count, line: text })
    if (kept.length > KEPT_LINES) kept = kept.slice(-KEPT_LINES / 2)
  }

  return {
    async follow(lines) {
      for await (const line of lines) take(line)
    },
    mark: () => count,
    since: (mark) =>
      kept
        .filter(({ number }) => number > mark)
        .map(({ line }) => line)
        .join('\n'),
  }
}

/**
 * A worker that ends says so for each of its proxies, as a warning: thousands of lines in every reload. And what is changed at
 * run time is told by whoever changes it.
 */
const ROUTINE =
  /^(?:CLI : |Server \S+ is going DOWN for maintenance|Proxy .* stopped|(?:Paused|Resumed|Pausing|Resuming|Stopping) |(?:Former|Current) worker \(\d+\) exited with code 0|All workers exited\. Exiting\.\.\. \(0\)|Exiting Master process)/

/** What HAProxy takes for an emergency is a stack that was scaled down, or fails its check: a warning tells that already. */
const EMPTIED = /^backend \S+ has no server available!$/

export function parseLine(line: string): { level: 'debug' | 'info' | 'warn' | 'error'; pid?: number; text: string } {
  const match = /^\[(\w+)\]\s+\((\d+)\)\s*:\s*(.*)$/.exec(line)
  if (match === null) return { level: 'info', text: line }
  const [, name, pid, text = ''] = match
  return { level: levelOf(name, text), pid: Number(pid), text }
}

function levelOf(name: string | undefined, text: string): 'debug' | 'info' | 'warn' | 'error' {
  if (ROUTINE.test(text)) return 'debug'
  if (EMPTIED.test(text)) return 'info'
  if (name === 'ALERT' || name === 'EMERG') return 'error'
  return name === 'WARNING' ? 'warn' : 'debug'
}
