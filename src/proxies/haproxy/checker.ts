import { execa } from 'execa'
import { HostlerError } from '../../lib/errors.js'
import { culpritsOf, hintsFor, parseMessages, sentence, summarise } from './checker-messages.js'
import { type CheckedFile, prepareSet } from './checker-staging.js'
import { cannotRun } from './errors.js'

export type { CheckedFile } from './checker-staging.js'

export type CheckVerdict =
  | { readonly ok: true; readonly warnings: readonly string[] }
  | {
      readonly ok: false
      /** One line: the first alerts with file, line and section, and what to do about leftovers of older images. */
      readonly message: string
      /** Backends that HAProxy blames, each once; empty when none can be told. */
      readonly culprits: readonly string[]
      /** All that HAProxy said, in final paths, cut to 64 KiB. */
      readonly output: string
    }

/**
 * Asks HAProxy whether it would take a set of files, by `haproxy -c` (50 ms at 1,000 backends, 0.5 s at 10,000).
 * Necessary but not sufficient: no port is bound.
 */
export interface Checker {
  /**
   * `scratch` is a folder of this round for copies. Throws HAPROXY_MISSING when the program cannot be run,
   * HAPROXY_CHECK_TIMEOUT when it takes too long, HAPROXY_CHECK_DIED when something ended it.
   */
  check(files: readonly CheckedFile[], scratch: string, signal: AbortSignal): Promise<CheckVerdict>
}

export interface CheckerOptions {
  readonly bin: string
  readonly timeoutMs: number
  /** What HAProxy's configuration may refer to, besides our own environment. Final paths in values follow the staged files. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** Bytes of one run: 10,000 backends with three warnings each stay far below. */
const MAX_OUTPUT = 32 << 20
const SHOWN_OUTPUT = 64 << 10

export function createChecker(options: CheckerOptions): Checker {
  return {
    async check(files, scratch, signal) {
      const set = await prepareSet(files, scratch)
      const args = ['-c', ...set.loaded.flatMap(({ readPath }) => ['-f', readPath])]
      const env = Object.fromEntries(Object.entries(options.env).map(([name, value]) => [name, set.toChecked(value)]))
      const result = await run(options, args, env, signal)
      const output = set.toFinal(result.output)
      const messages = parseMessages(output, set.loaded)
      if (result.ok) return { ok: true, warnings: messages.map(sentence).slice(0, 100) }
      const hints = hintsFor(set.loaded).map((hint) => ` Hint: ${hint}`)
      return {
        ok: false,
        message: `${summarise(messages) || lastLine(output) || 'HAProxy gave no reason'}.${hints.join('')}`.replace(
          '..',
          '.',
        ),
        culprits: culpritsOf(messages, set.loaded),
        output: output.slice(0, SHOWN_OUTPUT),
      }
    },
  }
}

async function run(options: CheckerOptions, args: string[], env: Record<string, string>, signal: AbortSignal) {
  signal.throwIfAborted()
  const result = await execa(options.bin, args, {
    env,
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    all: true,
    stdin: 'ignore',
    reject: false,
    timeout: options.timeoutMs,
    cancelSignal: signal,
    forceKillAfterDelay: 500,
    maxBuffer: MAX_OUTPUT,
  })
  signal.throwIfAborted()
  if (result.timedOut) throw tooSlow(options)
  if (result.signal !== undefined && !result.isMaxBuffer) throw died(options, result.signal)
  if (result.exitCode === undefined && !result.isMaxBuffer) throw cannotRun(options.bin, result)
  return { ok: result.exitCode === 0, output: result.all ?? '' }
}

function tooSlow({ bin, timeoutMs }: CheckerOptions): HostlerError {
  return new HostlerError(
    'HAPROXY_CHECK_TIMEOUT',
    `\`${bin} -c\` took longer than ${timeoutMs} ms. Names that DNS cannot resolve are a usual cause; else raise HAPROXY_CHECK_TIMEOUT.`,
  )
}

function died({ bin }: CheckerOptions, signal: string): HostlerError {
  return new HostlerError(
    'HAPROXY_CHECK_DIED',
    `\`${bin} -c\` was ended by ${signal} and gave no verdict. SIGKILL: memory ran out; else HAProxy crashed.`,
  )
}

const lastLine = (output: string) => output.trim().split('\n').at(-1) ?? ''
