import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createRuntimeSocket, type RuntimeSocket } from '../../src/proxies/haproxy/runtime/socket.js'
import { freePort } from './ports.js'
import { tempDir } from './temp.js'

/** A HAProxy of its own with a stats socket, in a folder of its own, where its relative paths begin. */
export interface HaproxyWorker {
  readonly dir: string
  readonly port: number
  readonly url: string
  readonly socket: RuntimeSocket
  /** What it wrote to its log so far. */
  log(): string
  /** One answer to one command, for a look at what HAProxy has. */
  ask(command: string): Promise<string>
  /** Replaces the worker as `systemctl reload` does, with the configuration as it is on disk. */
  reload(): Promise<void>
  stop(): Promise<void>
}

export interface WorkerOptions {
  readonly bin: string
  /** Files of the folder; `haproxy.cfg` gets the stats socket and the frontend's `bind` from here. */
  readonly files?: Readonly<Record<string, string>>
  /** What follows the defaults, with PORT for the port to bind. */
  readonly config: string
  readonly signal: AbortSignal
}

const GLOBAL = (dir: string) => `global
  stats socket ${join(dir, 'admin.sock')} mode 600 level admin expose-fd listeners
  maxconn 2000
defaults base
  mode http
  balance roundrobin
  option redispatch
  retries 3
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  timeout tunnel 60s
`

export async function startHaproxy({ bin, files = {}, config, signal }: WorkerOptions): Promise<HaproxyWorker> {
  const dir = tempDir('hostler-runtime-')
  const port = await freePort()
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
  writeFileSync(join(dir, 'haproxy.cfg'), GLOBAL(dir) + config.replaceAll('PORT', String(port)))
  // What is freed is overwritten: a use of it afterwards shows at once.
  const env = { ...process.env, MALLOC_PERTURB_: '165' }
  const child = spawn(bin, ['-W', '-db', '-f', 'haproxy.cfg'], { cwd: dir, env, stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  const socket = createRuntimeSocket(join(dir, 'admin.sock'))
  const ask = async (command: string) => (await socket.ask(command, signal)).text
  const pid = async () => /^Pid: (\d+)$/m.exec(await ask('show info'))?.[1]
  // Its worker answers before the master listens for signals, and one that comes too soon is lost.
  const loads = () => log.match(/Loading success/g)?.length ?? 0
  await answers(
    async () => (await pid()) !== undefined && loads() === 1,
    () => `${bin} did not start: ${log}`,
  )
  return {
    dir,
    port,
    url: `http://127.0.0.1:${port}/`,
    socket,
    log: () => log,
    ask,
    async reload() {
      const before = { pid: await pid(), loads: loads() }
      child.kill('SIGUSR2')
      await answers(
        async () => (await pid()) !== before.pid && loads() > before.loads,
        () => `${bin} did not reload: ${log}`,
      )
    },
    stop: () => ended(child),
  }
}

async function answers(probe: () => Promise<unknown>, complaint: () => string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await probe().catch(() => false)) return
    await delay(10)
  }
  throw new Error(complaint())
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    // A master passes SIGTERM on; SIGKILL would leave its worker behind.
    child.kill('SIGTERM')
  })
}
