import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const APP = fileURLToPath(new URL('../app/app.mjs', import.meta.url))

/** What the double runs in place of a container: the tests' app as a process; each of 127.0.0.0/8 is a host of its own. */
export interface AppProcess {
  readonly address: string
  readonly port: number
  readonly ended: Promise<void>
  /** SIGTERM, and SIGKILL after the time-out; resolves when it has ended. */
  stop(timeoutMs: number): Promise<void>
}

export async function startAppProcess(
  address: string,
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<AppProcess> {
  const child = spawn(process.execPath, [APP], {
    env: { PATH: process.env['PATH'] ?? '', ...env, ADDRESS: address, PORT: String(port) },
    stdio: 'ignore',
  })
  const ended = once(child, 'exit').then(() => undefined)
  await once(child, 'spawn')
  return { address, port, ended, stop: (timeoutMs) => stop(child, ended, timeoutMs) }
}

async function stop(child: ChildProcess, ended: Promise<void>, timeoutMs: number): Promise<void> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  await ended
  clearTimeout(timer)
}
