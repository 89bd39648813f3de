import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Etcd3 } from 'etcd3'
import { freePort } from './ports.js'
import { tempDir } from './temp.js'
import { until } from './wait.js'

/** One real etcd of its own, on loopback unless told otherwise, with its data in a folder that is gone after the suite. */
export interface TestEtcd {
  /** `http://HOST:PORT`, as ETCD_ENDPOINT takes it. */
  readonly endpoint: string
  readonly port: number
  /** A client for looking at it; without TLS and user. */
  readonly client: Etcd3
  /** Everything below a prefix. */
  all(prefix: string): Promise<Record<string, string>>
  /** SIGKILL; its data stays. */
  kill(): Promise<void>
  /** Starts again, with the same data or with none. */
  resume(how?: 'same' | 'empty'): Promise<void>
  /** It hangs, until `goOn`. */
  hang(): Promise<void>
  goOn(): void
  stop(): Promise<void>
}

export interface EtcdOptions {
  /** More arguments. */
  readonly args?: readonly string[]
  readonly scheme?: 'http' | 'https'
  readonly port?: number
  /** Where clients reach it. */
  readonly address?: string
}

export async function startEtcd(options: EtcdOptions = {}): Promise<TestEtcd> {
  const { args = [], scheme = 'http', address = '127.0.0.1', port: given } = options
  const folder = tempDir('hostler-etcd-')
  const [port, peerPort] = [given ?? (await freePort()), await freePort()]
  const endpoint = `${scheme}://${address}:${port}`
  const peer = `http://127.0.0.1:${peerPort}`
  const flags = [
    ...['--name', 'one', '--data-dir', join(folder, 'data'), '--logger', 'zap', '--log-level', 'error'],
    ...['--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `one=${peer}`],
    // One server needs no time to agree with itself, and leases may be as short as a second then.
    ...['--heartbeat-interval', '20', '--election-timeout', '200'],
    ...args,
  ]
  let child: ChildProcess | undefined
  const start = async () => {
    mkdirSync(folder, { recursive: true })
    const log = openSync(join(folder, 'log'), 'a')
    // It must not outlive a test run that is killed.
    child = spawn('setpriv', ['--pdeathsig', 'KILL', 'etcd', ...flags], { stdio: ['ignore', log, log] })
    closeSync(log)
    await until('etcd listens', () => isListening({ host: address, port }, child, folder))
  }
  const kill = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  await start()
  const client = new Etcd3({ hosts: endpoint })
  return {
    ...{ endpoint, port, client, kill },
    all: async (prefix) => client.getAll().prefix(prefix).strings(),
    async resume(how = 'same') {
      if (how === 'empty') rmSync(join(folder, 'data'), { recursive: true, force: true })
      await start()
    },
    async hang() {
      child?.kill('SIGSTOP')
      await until('it has stopped', () => / T /.test(readFileSync(`/proc/${child?.pid}/stat`, 'utf8')))
    },
    goOn: () => void child?.kill('SIGCONT'),
    async stop() {
      client.close()
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function isListening(
  at: { readonly host: string; readonly port: number },
  child: ChildProcess | undefined,
  folder: string,
): Promise<boolean> {
  if (child?.exitCode !== null && child?.exitCode !== undefined)
    throw new Error(`etcd ended with ${child.exitCode}:\n${readFileSync(join(folder, 'log'), 'utf8')}`)
  const { connect } = await import('node:net')
  return new Promise((resolve) => {
    const socket = connect(at, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
