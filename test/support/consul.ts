import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Agent } from 'undici'
import { freePort } from './ports.js'
import { tempDir } from './temp.js'
import { until } from './wait.js'

/** A real Consul of its own: one server that is an agent too, on 127.0.0.1. Call `stop()` in `afterAll`. */
export interface TestConsul {
  /** `http://127.0.0.1:PORT`, or https with TLS. */
  readonly url: string
  readonly port: number
  readonly node: string
  /** `ADDRESS:PORT` at which others join it. */
  readonly gossip: string
  /** The bootstrap token, when access is by token. */
  readonly token: string
  /** PEM files, when it speaks TLS. */
  readonly tls: TestTls
  /** What the server answers to a call of its HTTP API, with every right; throws for anything but 200. */
  call<T = unknown>(method: 'GET' | 'PUT', path: string, body?: unknown): Promise<T>
  /** A token with these rules. */
  createToken(rules: string): Promise<string>
  /** Ends without a word, as in a crash. */
  kill(): Promise<void>
  /** Starts it again with what it knew; or, having forgotten everything. */
  resume(memory?: 'kept' | 'lost'): Promise<void>
  /** Stands still, with its connections open, until told to go on. */
  pause(): Promise<void>
  unpause(): void
  stop(): Promise<void>
}

export interface TestTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
  /** A client's certificate of the same CA that is over. */
  readonly expired: CertificatePair
}

interface CertificatePair {
  readonly cert: string
  readonly key: string
}

type Pems = TestTls & { readonly server: CertificatePair }

const NONE: CertificatePair = { cert: '', key: '' }
const NO_TLS: Pems = { ca: '', ...NONE, expired: NONE, server: NONE }

export interface ConsulOptions {
  /** Speaks TLS, and to nobody without a certificate of its CA; `expired`: with a certificate that is over. */
  readonly tls?: boolean | 'expired'
  /** Denies what no token allows. */
  readonly acl?: boolean
  /** Name of the node, for several in one test. */
  readonly node?: string
  /** Further settings of the agent. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly port?: number
  /** Where it listens. Every 127.X.Y.Z is this machine. */
  readonly address?: string
  /** Only an agent, of this one's cluster. */
  readonly of?: TestConsul
  /** Waits for others who never come, so that there is no leader. */
  readonly leaderless?: boolean
}

const kept = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'hostler', `consul-1.8.7-${process.arch}`)

/** What scripts/test.mjs has found; in a run without it, where that keeps it. */
export const consulProgram = process.env['CONSUL_BIN'] || join(kept, 'consul')

export async function startConsul(options: ConsulOptions = {}): Promise<TestConsul> {
  const folder = tempDir('hostler-consul-')
  const port = options.port ?? (await freePort())
  const node = options.node ?? 'node-1'
  const token = options.acl ? randomUUID() : ''
  const { server, ...tls } = options.tls ? makeTls(folder, options.tls === 'expired') : NO_TLS
  const address = options.address ?? '127.0.0.1'
  const url = `${options.tls ? 'https' : 'http'}://${address}:${port}`
  const [rpc, serf] = [await freePort(), await freePort()]
  const config = {
    ...baseConfig({ node, address }),
    ...(options.of
      ? { server: false, retry_join: [options.of.gossip], retry_interval: '100ms' }
      : { server: true, bootstrap_expect: options.leaderless ? 3 : 1 }),
    ports: {
      ...(options.tls ? { http: -1, https: port } : { http: port, https: -1 }),
      ...{ dns: -1, grpc: -1, server: rpc, serf_lan: serf, serf_wan: -1 },
    },
    ...aclConfig(token),
    ...tlsConfig({ ...tls, server }),
    ...options.config,
  }
  writeFileSync(join(folder, 'agent.json'), JSON.stringify({ ...config, data_dir: join(folder, 'data') }))

  const { agent, call } = createCaller({ url, token, tls })
  const daemon = createDaemon(folder, async () => {
    if (options.leaderless) return void (await call('GET', '/v1/agent/self'))
    // With its leader it knows of itself; before that, what it is told would be thrown away.
    const known = JSON.stringify(await call<object>('GET', `/v1/health/node/${node}`))
    const services = JSON.stringify(await call<object>('GET', `/v1/catalog/node/${node}`))
    if (!known.includes('"Status":"passing"') || !(options.of || services.includes('"consul"')))
      throw new Error('it does not know itself yet')
  })
  const stop = async () => {
    await daemon.end()
    await agent.destroy()
    rmSync(folder, { recursive: true, force: true })
  }
  await daemon.start().catch(async (error: unknown) => {
    await stop()
    throw error
  })
  return {
    ...{ url, port, node, token, tls, call, stop, gossip: `${address}:${serf}` },
    async createToken(rules) {
      const { Name } = await call<{ Name: string }>('PUT', '/v1/acl/policy', {
        Name: `p-${randomUUID()}`,
        Rules: rules,
      })
      const made = await call<{ SecretID: string }>('PUT', '/v1/acl/token', { Policies: [{ Name }] })
      return made.SecretID
    },
    kill: () => daemon.end(),
    async resume(memory = 'kept') {
      if (memory === 'lost') rmSync(join(folder, 'data'), { recursive: true, force: true })
      await daemon.start()
    },
    pause: () => daemon.pause(),
    unpause: () => daemon.signal('SIGCONT'),
  }
}

const baseConfig = ({ node, address }: { node: string; address: string }) => ({
  node_name: node,
  bind_addr: address,
  client_addr: address,
  disable_update_check: true,
  leave_on_terminate: false,
  performance: { raft_multiplier: 1 },
  // That a node has died is known within a few seconds.
  gossip_lan: { gossip_interval: '50ms', probe_interval: '500ms', probe_timeout: '450ms', suspicion_mult: 3 },
})

const aclConfig = (token: string) =>
  token === ''
    ? {}
    : {
        acl: {
          enabled: true,
          default_policy: 'deny',
          enable_token_persistence: true,
          tokens: { master: token, agent: token },
        },
      }

/** Without verifying who calls (`verify_incoming`), a client certificate would prove nothing. */
function tlsConfig({ ca, server }: Pems) {
  if (ca === '') return {}
  return { ca_file: ca, cert_file: server.cert, key_file: server.key, verify_incoming: true }
}

/** A CA, a server's certificate (for `localhost` and 127.0.0.1) and a client's. */
function makeTls(folder: string, isOver: boolean): Pems {
  const dir = join(folder, 'tls')
  mkdirSync(dir)
  const tls = (...args: string[]) => execFileSync(consulProgram, ['tls', ...args], { cwd: dir, stdio: 'ignore' })
  tls('ca', 'create')
  tls('cert', 'create', '-server')
  tls('cert', 'create', '-client')
  tls('cert', 'create', '-client')
  age(dir, 'dc1-client-consul-1')
  if (isOver) age(dir, 'dc1-server-consul-0')
  const pair = (name: string) => ({ cert: join(dir, `${name}.pem`), key: join(dir, `${name}-key.pem`) })
  return {
    ca: join(dir, 'consul-agent-ca.pem'),
    ...pair('dc1-client-consul-0'),
    expired: pair('dc1-client-consul-1'),
    server: pair('dc1-server-consul-0'),
  }
}

/** Puts a certificate of the same key and CA in its place that is over. Consul makes none. */
function age(dir: string, name: string): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' })
  writeFileSync(join(dir, 'ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n')
  openssl('req', '-new', '-key', `${name}-key.pem`, '-subj', `/CN=${name}`, '-out', 'request.pem')
  const ca = ['-CA', 'consul-agent-ca.pem', '-CAkey', 'consul-agent-ca-key.pem', '-CAcreateserial']
  openssl('x509', '-req', '-in', 'request.pem', ...ca, '-days', '-1', '-extfile', 'ext', '-out', `${name}.pem`)
}

function createCaller({ url, token, tls }: Pick<TestConsul, 'url' | 'token' | 'tls'>) {
  const connect =
    tls.ca === ''
      ? {}
      : {
          ca: readFileSync(tls.ca),
          cert: readFileSync(tls.cert),
          key: readFileSync(tls.key),
          rejectUnauthorized: false,
        }
  const agent = new Agent({ connect })
  async function call<T>(method: 'GET' | 'PUT', path: string, body?: unknown): Promise<T> {
    const answer = await agent.request({
      origin: url,
      path,
      method,
      headers: token === '' ? {} : { 'x-consul-token': token },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }
  return { agent, call }
}

function createDaemon(folder: string, ready: () => Promise<void>) {
  let child: ChildProcess | undefined
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null
  const signal = (name: NodeJS.Signals) => {
    if (isRunning()) child?.kill(name)
  }
  const pause = async () => {
    signal('SIGSTOP')
    await until('consul stands still', () => /\) T /.test(readFileSync(`/proc/${child?.pid}/stat`, 'utf8')))
  }
  const end = async () => {
    if (!child || !isRunning()) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  const start = async () => {
    if (isRunning()) return
    mkdirSync(join(folder, 'data'), { recursive: true })
    const log = openSync(join(folder, 'log'), 'a')
    // It must not outlive a test run that is killed.
    const args = ['--pdeathsig', 'KILL', consulProgram, 'agent', '-config-file', join(folder, 'agent.json')]
    child = spawn('setpriv', args, { stdio: ['ignore', log, log] })
    closeSync(log)
    await until(`consul answers (see ${folder}/log)`, () => ready().then(() => true))
  }
  return { start, end, signal, pause }
}
