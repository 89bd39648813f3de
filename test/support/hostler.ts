import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { State } from '../../src/reconcile/state.js'
import { until } from './wait.js'

/** The compiled program; HOSTLER_MAIN names an installed one to be tested instead. */
const MAIN = process.env['HOSTLER_MAIN'] ?? fileURLToPath(new URL('../../dist/main.js', import.meta.url))

export interface RunningHostler {
  readonly child: ChildProcess
  /** Everything it has logged. */
  log(): string
  /** What it answers at /api/state. */
  state(): Promise<State>
  get(path: string): Promise<{ status: number; body: string }>
  ready(): Promise<void>
  /** Asks it to end, and waits. @returns its exit code, or the signal that ended it */
  stop(signal?: NodeJS.Signals): Promise<number | string>
}

/** The environment that a command of ours runs with in tests: nothing of the machine's own settings. */
export const cleanEnvironment = (env: Record<string, string>): Record<string, string> => ({
  PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
  HOME: process.env['HOME'] ?? '/tmp',
  // Its default port can be had only once on a machine.
  HOSTLER_PUBLIC_LISTEN: 'none',
  ...env,
})

/**
 * Starts the compiled program as a user would.
 * @param within what it is started by: a command that ends with the one to be run, and becomes that one
 */
export function startHostler(
  args: readonly string[],
  env: Record<string, string>,
  cwd = '/',
  within: readonly string[] = [],
): RunningHostler {
  const [program = '', ...rest] = [...within, process.execPath, MAIN, ...args]
  const child = spawn(program, rest, {
    cwd,
    env: cleanEnvironment({ HOSTLER_LOG_FORMAT: 'json', ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout?.on('data', (chunk) => {
    output += chunk
  })
  child.stderr?.on('data', (chunk) => {
    output += chunk
  })
  const ended = new Promise<number | string>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'gone')),
  )
  const address = async () => {
    const listen = () => /"listen":"([^"]+)"/.exec(output)?.[1]
    await until('hostler listens', () => listen() ?? child.exitCode !== null)
    const found = listen()
    if (found === undefined) throw new Error(`hostler ended with ${child.exitCode}:\n${output}`)
    return found
  }
  const get = async (path: string) => {
    const answer = await fetch(`http://${await address()}${path}`)
    return { status: answer.status, body: await answer.text() }
  }
  return {
    child,
    log: () => output,
    get,
    state: async () => JSON.parse((await get('/api/state')).body) as State,
    async ready() {
      await until(
        `hostler is ready; it says:\n${output}`,
        async () => (await get('/readyz')).status === 200,
        15_000,
      ).catch((error) => {
        throw new Error(`hostler did not become ready:\n${output}`, { cause: error })
      })
    },
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
      const code = await ended
      clearTimeout(timer)
      return code
    },
  }
}

/** Runs a command of ours to its end. */
export async function runHostler(args: readonly string[], env: Record<string, string>, cwd = join('/')) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: cleanEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  clearTimeout(timer)
  return { code, stdout, stderr }
}
