import { execa } from 'execa'
import type { Clock } from '../../lib/clock.js'
import { HostlerError } from '../../lib/errors.js'
import type { Reloader } from './reloaders.js'

export interface CommandReloaderOptions {
  /** For `sh -c`: the operator's own words. */
  readonly command: string
  readonly timeoutMs: number
  readonly env: Readonly<Record<string, string>>
  readonly clock: Clock
}

/** What is kept of the command's output: its end. */
const MAX_OUTPUT = 16_384

/**
 * Reloads by a command of the operator's. Exit code 0 means that HAProxy took the configuration; there is no other proof.
 * A command that takes too long is ended with everything it started.
 */
export function createCommandReloader({ command, timeoutMs, env, clock }: CommandReloaderOptions): Reloader {
  return {
    async reload(signal) {
      signal.throwIfAborted()
      const started = clock.elapsed()
      // A session of its own, so that what the command started can be ended with it.
      const child = execa('sh', ['-c', command], {
        env,
        all: true,
        buffer: false,
        stdin: 'ignore',
        reject: false,
        detached: true,
        cleanup: false,
      })
      let late = false
      const end = () => endGroup(child.pid)
      const timer = setTimeout(() => {
        late = true
        end()
      }, timeoutMs)
      signal.addEventListener('abort', end, { once: true })
      try {
        const [output, exitCode] = await Promise.all([tailOf(child.all), exitOf(child)])
        signal.throwIfAborted()
        if (late) throw tooSlow(timeoutMs)
        const ms = Math.round(clock.elapsed() - started)
        return { ok: exitCode === 0, ms, log: exitCode === 0 ? output : `${output}\n(exit code ${exitCode})`.trim() }
      } finally {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
      }
    },
    describe: () => ({ reloads: 'command' }),
  }
}

async function tailOf(stream: AsyncIterable<unknown>): Promise<string> {
  let tail = ''
  for await (const chunk of stream) tail = (tail + String(chunk)).slice(-MAX_OUTPUT)
  return tail.trim()
}

async function exitOf(child: PromiseLike<{ exitCode?: number }>): Promise<number | undefined> {
  return (await child).exitCode
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself in the meantime.
  }
}

const tooSlow = (ms: number) =>
  new HostlerError(
    'HAPROXY_RELOAD_COMMAND',
    `The reload command did not end within ${ms} ms and was killed. Make it return once HAProxy has reloaded, or raise HAPROXY_CHECK_TIMEOUT.`,
  )
