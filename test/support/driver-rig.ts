import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { settingsSchema } from '../../src/config/schema.js'
import { systemClock } from '../../src/lib/clock.js'
import { type Logger, silentLogger } from '../../src/lib/logger.js'
import { type CheckVerdict, createChecker } from '../../src/proxies/haproxy/checker.js'
import { createDriver, type Loader } from '../../src/proxies/haproxy/driver.js'
import { haproxyEnvironment, socketsOf } from '../../src/proxies/haproxy/environment.js'
import { createLoader } from '../../src/proxies/haproxy/loader.js'
import { createMasterSocket, type MasterSocket } from '../../src/proxies/haproxy/master-socket.js'
import { createMover } from '../../src/proxies/haproxy/runtime/mover.js'
import type { LoadedFiles } from '../../src/proxies/haproxy/runtime/read-image.js'
import { createRuntimeSocket, type RuntimeSocket } from '../../src/proxies/haproxy/runtime/socket.js'
import { spareNames } from '../../src/proxies/haproxy/runtime/spares.js'
import type { Applied } from '../../src/proxies/proxy.js'
import { get } from './executor-rig.js'
import { freePort } from './ports.js'
import { tempDir } from './temp.js'

/** Stack → its servers' ports on 127.0.0.1. */
export type Stacks = ReadonlyMap<string, readonly number[]>

/** A driver with all that belongs to it, on a HAProxy of its own; what renders and publishes is the test. */
export interface DriverRig {
  readonly dir: string
  readonly port: number
  /** Of hosts to backends, as HAProxy knows it. */
  readonly map: string
  readonly socket: RuntimeSocket
  readonly master: MasterSocket
  /** Puts the files in place, each in one instant. Another `frame` is a change that only a load can bring. */
  publish(stacks: Stacks, frame?: string): void
  /** The frontend that speaks TLS, with the certificates of `certificates.list`, when the rig has certificates. */
  readonly tlsPort: number
  /** Puts one file in place. */
  write(name: string, text: string): void
  /** Looks at what lies there as at files that are staged. */
  check(): Promise<CheckVerdict>
  apply(): Promise<Applied>
  /** Gives HAProxy a new driver, as when Hostler was killed and is started again. */
  restart(): Promise<void>
  get(host: string): Promise<{ status: number; body: string }>
  describe(): Record<string, string | number | boolean>
  stop(): Promise<void>
}

export interface DriverRigOptions {
  readonly bin?: string
  /** Name in the rig's folder → content; those that the list names are served, in its order. */
  readonly certificates?: Readonly<Record<string, string>>
  /** A configuration that is read after all others. */
  readonly last?: (dir: string) => string
  readonly log?: Logger
  /** The stats socket that the driver uses, given HAProxy's own. */
  readonly through?: (socket: string) => Promise<string>
}

export const hostOf = (stack: string) => `${stack}.example`

interface Frame {
  readonly dir: string
  readonly port: number
  readonly tlsPort: number
  readonly withTls: boolean
}

const TLS = ({ dir, tlsPort }: Frame) => `frontend tls
  bind 127.0.0.1:${tlsPort} ssl crt-list ${join(dir, 'certificates.list')}
  http-request return status 200
`

const FRAME = (frame: Frame, text: string) => `global
  maxconn 1000
  stats socket ${join(frame.dir, 'admin.sock')} mode 600 level admin expose-fd listeners
  httpclient.ssl.verify none
defaults base
  mode http
  balance roundrobin
  timeout connect 2s
  timeout client 20s
  timeout server 20s
frontend web
  bind 127.0.0.1:${frame.port}
  http-response set-header x-frame "${text}"
  http-request set-var(txn.backend) req.hdr(host),map_str(${join(frame.dir, 'hosts.map')})
  use_backend %[var(txn.backend)] if { var(txn.backend) -m found }
${frame.withTls ? TLS(frame) : ''}`

const SPARES = 8

export async function startDriverRig(options: DriverRigOptions = {}): Promise<DriverRig> {
  const { bin = 'haproxy', last, log = silentLogger(), certificates = {}, through } = options
  const dir = tempDir('hostler-driver-')
  const [port, tlsPort] = [await freePort(), await freePort()]
  const path = (name: string) => join(dir, name)
  const settings = settingsSchema.parse({
    stateDir: dir,
    haproxy: { bin, statsSocket: path('admin.sock'), reloadInterval: '0s', stopTimeout: '1s' },
  })
  mkdirSync(path('scratch'))
  const pems = () =>
    readdirSync(dir)
      .filter((name) => name.endsWith('.pem'))
      .map(path)
  const files = (): LoadedFiles => ({
    configs: [path('haproxy.cfg'), path('haproxy-backends.cfg'), ...(last ? [path('last.cfg')] : [])],
    others: [path('hosts.map'), path('certificates.list'), ...pems()],
    certificates: pems(),
  })
  const write = (name: string, text: string) => {
    writeFileSync(path(`${name}.new`), text)
    renameSync(path(`${name}.new`), path(name))
  }
  if (last) write('last.cfg', last(dir))
  for (const [name, text] of Object.entries(certificates)) write(name, text)
  write(
    'certificates.list',
    Object.keys(certificates)
      .map((name) => `${path(name)}\n`)
      .join(''),
  )
  const frame: Frame = { dir, port, tlsPort, withTls: Object.keys(certificates).length > 0 }

  const socket = through ? await through(path('admin.sock')) : path('admin.sock')
  const env = haproxyEnvironment(settings)
  const common = { log, clock: systemClock }
  const start = () => {
    const life = new AbortController()
    const ports = () => [{ host: '127.0.0.1', port }]
    const loader = createLoader(settings, { ...common, duty: 'drive', env, configs: () => files().configs, ports })
    const mover = createMover({
      ...common,
      socket,
      serving: loader.serving,
      spares: SPARES,
      env,
      signal: life.signal,
    })
    const driver = createDriver({
      ...common,
      files,
      mover,
      loader,
      checker: createChecker({ bin, timeoutMs: 10_000, env }),
      spacingMs: 0,
      scratch: path('scratch'),
    })
    return { life, loader, mover, driver }
  }
  let { life, loader, mover, driver } = start()
  const loaders: Loader[] = [loader]

  return {
    dir,
    port,
    tlsPort,
    map: path('hosts.map'),
    socket: createRuntimeSocket(path('admin.sock')),
    master: createMasterSocket(socketsOf(settings).master, { timeoutMs: 10_000 }),
    write,
    publish(stacks, text = '1') {
      write('haproxy.cfg', FRAME(frame, text))
      write('haproxy-backends.cfg', backendsOf(stacks))
      write('hosts.map', [...stacks.keys()].map((stack) => `${hostOf(stack)} ${stack}\n`).join(''))
    },
    check: () => driver.check(files(), new Map(), path('scratch'), life.signal),
    apply: () => driver.apply(life.signal, life.signal),
    async restart() {
      life.abort()
      await driver.stop()
      ;({ life, loader, mover, driver } = start())
      loaders.push(loader)
      await loader.prepare(life.signal)
    },
    get: (host) => get(port, host, '/'),
    describe: () => ({ ...loader.describe(), ...mover.describe() }),
    async stop() {
      life.abort()
      await driver.stop()
      for (const one of loaders.reverse()) await one.stop()
    },
  }
}

const backendsOf = (stacks: Stacks) =>
  [...stacks].map(([stack, ports]) => `backend ${stack}\n${ports.map(serverLine).join('')}`).join('') +
  spareNames(SPARES)
    .map((name) => `backend ${name}\n`)
    .join('')

const serverLine = (port: number) => `  server s${port} 127.0.0.1:${port}\n`
