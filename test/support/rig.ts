import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { alive } from './haproxy.js'
import { type RunningHostler, runHostler, startHostler } from './hostler.js'
import { freePort } from './ports.js'
import { tempDir } from './temp.js'
import type { Echo, Upstream } from './upstreams.js'
import { until } from './wait.js'

/** One entry of `stacks.yml`; labels may leave out their prefix, and the address is this machine's. */
export interface StackEntry {
  readonly name: string
  readonly stack?: string
  readonly service?: string
  readonly address?: string
  readonly state?: string
  readonly health?: string
  readonly createdAt?: number
  readonly labels?: Readonly<Record<string, string | number | boolean>>
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The upstream that answered; undefined when it was HAProxy itself. */
  readonly echo?: Echo
}

export interface Asked {
  readonly headers?: Readonly<Record<string, string>>
  readonly method?: string
  /** Ask the HTTPS port, with the host as the name that TLS is asked for. */
  readonly tls?: boolean
}

/**
 * A folder as an operator has it (base configuration, list of instances, rendered files, certificates), free ports, and
 * whatever was started on it. The regular pass comes so rarely that a test which waits for it fails.
 */
export interface Rig {
  readonly dir: string
  readonly env: Readonly<Record<string, string>>
  readonly ports: { readonly http: number; readonly https: number; readonly stats: number }
  path(name: string): string
  read(name: string): string
  /** Writes a file, with its folders. */
  write(name: string, text: string): void
  /** Replaces the list of instances. */
  stacks(entries: readonly StackEntry[]): void
  /** Starts the compiled program; resolves when it is ready, or when it listens. */
  start(args?: readonly string[], more?: { env?: Record<string, string>; ready?: boolean }): Promise<RunningHostler>
  /** Runs a command to its end. */
  run(args: readonly string[], env?: Record<string, string>): ReturnType<typeof runHostler>
  /** Asks HAProxy over a connection of its own. */
  ask(host: string, path?: string, asked?: Asked): Promise<Answer>
  /** Asks until the upstream of that name answers. */
  untilServedBy(app: string, host: string, path?: string): Promise<void>
  /** Closed with the rig. */
  keep(...upstreams: Upstream[]): void
  close(): Promise<void>
}

export const BASE_CONFIG = fileURLToPath(new URL('../../haproxy/haproxy.cfg', import.meta.url))

/** @param within what Hostler is started by, as `startHostler` takes it; then HOSTLER_BIND is where it is reached */
export async function createRig(env: Record<string, string> = {}, within: readonly string[] = []): Promise<Rig> {
  const dir = tempDir('hostler-rig-')
  const path = (name: string) => join(dir, name)
  const ports = { http: await freePort(), https: await freePort(), stats: await freePort() }
  const settings = { ...settingsFor(path, ports), ...env }
  const running: RunningHostler[] = []
  const upstreams: Upstream[] = []
  const haproxies = new Set<number>()

  function write(name: string, text: string): void {
    mkdirSync(dirname(path(name)), { recursive: true })
    writeFileSync(path(name), text)
  }

  async function start(
    args: readonly string[] = ['run'],
    more: { env?: Record<string, string>; ready?: boolean } = {},
  ) {
    const hostler = startHostler(args, { ...settings, ...more.env }, dir, within)
    running.push(hostler)
    if (more.ready !== false) await hostler.ready()
    else await hostler.get('/healthz')
    for (const { details } of (await hostler.state()).proxies) haproxies.add(Number(details['pid']))
    return hostler
  }

  const ask = (host: string, at = '/', { headers = {}, method = 'GET', tls = false }: Asked = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const common = {
        host: settings['HOSTLER_BIND'],
        path: at,
        method,
        headers: { host, ...headers },
        agent: false as const,
      }
      const sent = tls
        ? httpsRequest({ ...common, port: ports.https, servername: host, rejectUnauthorized: false })
        : httpRequest({ ...common, port: ports.http })
      sent.once('error', reject).once('response', (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (chunk) => {
          body += chunk
        })
        response.once('error', reject).once('end', () => {
          const echo = echoIn(body)
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body, ...(echo && { echo }) })
        })
      })
      sent.end()
    })

  mkdirSync(path('out'))
  copyFileSync(BASE_CONFIG, path('haproxy.cfg'))
  return {
    dir,
    env: settings,
    ports,
    path,
    write,
    start,
    ask,
    read: (name) => readFileSync(path(name), 'utf8'),
    stacks: (entries) => write('stacks.yml', stacksYaml(entries)),
    run: (args, more = {}) => runHostler(args, { ...settings, ...more }, dir),
    async untilServedBy(app, host, at) {
      await until(`${app} answers at ${host}${at ?? '/'}`, async () => (await ask(host, at)).echo?.app === app)
    },
    keep: (...more) => void upstreams.push(...more),
    async close() {
      for (const hostler of running) await hostler.stop()
      for (const upstream of upstreams) await upstream.close()
      // Those of a Hostler that a test killed.
      for (const pid of haproxies) if (pid > 0 && alive(pid)) process.kill(pid, 'SIGTERM')
    },
  }
}

function settingsFor(path: (name: string) => string, ports: Rig['ports']): Record<string, string> {
  return {
    HOSTLER_SOURCES: 'file',
    HOSTLER_DOMAIN: 'ci.example.com',
    HOSTLER_FILE: path('stacks.yml'),
    HOSTLER_POLL_INTERVAL: '10m',
    HOSTLER_STATE_DIR: path('state'),
    HOSTLER_BIND: '127.0.0.1',
    HOSTLER_HTTP_PORT: String(ports.http),
    HOSTLER_HTTPS_PORT: String(ports.https),
    HOSTLER_PRIVATE_LISTEN: '127.0.0.1:0',
    HAPROXY_CONFIG: path('haproxy.cfg'),
    HAPROXY_BACKEND_CONFIG: path('out/haproxy-backends.cfg'),
    HAPROXY_DOMAIN_MAP: path('out/domain.map'),
    HAPROXY_SSL_CERT: path('server.pem'),
    HOSTLER_CERT_DIR: path('certs'),
    HAPROXY_RELOAD_INTERVAL: '10ms',
    HAPROXY_STOP_TIMEOUT: '1s',
    STATS_PORT: String(ports.stats),
  }
}

/** The list as `stacks.yml` has it; ages follow the order unless an entry says otherwise. */
export function stacksYaml(entries: readonly StackEntry[]): string {
  const instances = entries.map(({ labels = {}, ...entry }, index) => ({
    address: '127.0.0.1',
    createdAt: 1000 + index,
    ...entry,
    labels: Object.fromEntries(Object.entries(labels).map(([key, value]) => [prefixed(key), String(value)])),
  }))
  return stringify({ instances }, { lineWidth: 0 })
}

const prefixed = (label: string): string => (/^(hostler|map|send|com|io)\b/.test(label) ? label : `hostler.${label}`)

function echoIn(body: string): Echo | undefined {
  try {
    const value = JSON.parse(body) as Partial<Echo>
    return typeof value.app === 'string' ? (value as Echo) : undefined
  } catch {
    return undefined
  }
}
