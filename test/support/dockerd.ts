import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Dockerode from 'dockerode'
import { buildRootFs, endPid, programPath } from './rootfs.js'
import { until } from './wait.js'

/**
 * A Docker daemon of its own, with one image of busybox in it. Start one per test file, in `beforeAll`, and `stop()` it
 * in `afterAll`. Containers' addresses on its networks are reachable from the test directly.
 */
export interface TestDockerd {
  /** Path of its socket. */
  readonly socket: string
  /** `unix://SOCKET`, as DOCKER_HOST takes it. */
  readonly host: string
  readonly docker: Dockerode
  /** Its default command serves HTTP on port 80 (or `PORT`), answering with the container's name. */
  readonly image: string
  /** The network that containers join unless told otherwise. */
  readonly network: string
  /** The daemon's folder: logs are in `log`. */
  readonly folder: string
  run(options?: RunOptions): Promise<TestContainer>
  /** A user-defined bridge; returns its name. */
  createNetwork(name?: string): Promise<string>
  /** The daemon ends; its containers end with it, unless it was started with `--live-restore`. */
  halt(): Promise<void>
  /** The daemon starts anew on the same folder and socket. */
  resume(): Promise<void>
  restart(): Promise<void>
  /** Ends everything and leaves nothing behind. */
  stop(): Promise<void>
}

export interface RunOptions {
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Default: serve HTTP. */
  readonly cmd?: readonly string[]
  readonly env?: readonly string[]
  /** Networks by name; `host` and `none` work alone. Default: `TestDockerd.network`. */
  readonly networks?: readonly string[]
  /** Container port → host port. */
  readonly publish?: Readonly<Record<number, number>>
  /** Container ports to expose without publishing them. Default: 80. */
  readonly expose?: readonly number[]
  /** A shell command that is the health check, run every second. */
  readonly health?: string
  /** Only create it. */
  readonly start?: boolean
  /** Laid over the create request. */
  readonly create?: Partial<Dockerode.ContainerCreateOptions>
  readonly hostConfig?: Partial<Dockerode.HostConfig>
}

export interface TestContainer {
  readonly id: string
  readonly name: string
  readonly container: Dockerode.Container
  /** Its address on a network (the first by default); only when it runs. */
  address(network?: string): Promise<string>
}

export interface DockerdOptions {
  /** More arguments for dockerd, e.g. `--live-restore` or `-H tcp://127.0.0.1:1234`. */
  readonly args?: readonly string[]
}

const IMAGE = 'hostler-test:latest'

export async function startDockerd({ args = [] }: DockerdOptions = {}): Promise<TestDockerd> {
  const { folder, subnet } = claimSubnet()
  const socket = join(folder, 'd.sock')
  const docker = new Dockerode({ socketPath: socket })
  const daemon = createDaemon(folder, socket, docker, [
    ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'), '-p', join(folder, 'pid')],
    ...['-H', `unix://${socket}`, '--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-masq=false'],
    ...[`--default-address-pool=base=${subnet},size=24`, ...args],
  ])
  const network = 'apps'
  let made = 0
  const createNetwork = async (name = `net-${++made}`) => {
    await docker.createNetwork({ Name: name, Driver: 'bridge' })
    return name
  }
  const stop = () => tearDown(docker, daemon, folder)
  try {
    await daemon.start()
    await importImage(docker, folder)
    await createNetwork(network)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    ...{ socket, host: `unix://${socket}`, docker, image: IMAGE, network, folder, createNetwork, stop },
    run: (options = {}) => run(docker, options, options.name ?? `c-${++made}`, network),
    halt: daemon.end,
    resume: daemon.start,
    restart: async () => {
      await daemon.end()
      await daemon.start()
    },
  }
}

/** A folder that nobody else has, whose number is also a /16 that nobody else has: two daemons never share a subnet. */
function claimSubnet(): { folder: string; subnet: string } {
  const routes = readFileSync('/proc/net/route', 'utf8')
  for (let attempt = 0; attempt < 500; attempt++) {
    const number = 20 + Math.floor(Math.random() * 230)
    const hexPrefix = `${number.toString(16).padStart(2, '0')}0A\t`.toUpperCase()
    if (routes.includes(hexPrefix)) continue
    const folder = join(tmpdir(), `hd${number}`)
    try {
      mkdirSync(folder, { mode: 0o700 })
      return { folder, subnet: `10.${number}.0.0/16` }
    } catch {}
  }
  throw new Error('no free 10.X.0.0/16 for a test daemon')
}

function createDaemon(folder: string, socket: string, docker: Dockerode, args: readonly string[]) {
  let child: ChildProcess | undefined
  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null
  const start = async () => {
    if (running()) return
    const log = openSync(join(folder, 'log'), 'a')
    // The daemon must not outlive a test run that is killed.
    const spawned = spawn('setpriv', ['--pdeathsig', 'TERM', programPath('dockerd'), ...args], {
      stdio: ['ignore', log, log],
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
    })
    child = spawned
    await until(`dockerd answers on ${socket} (see ${folder}/log)`, () => docker.ping(), 30_000)
  }
  const end = async () => {
    if (!child || !running()) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
    await endPid(pidIn(join(folder, 'exec/containerd/containerd.pid')))
  }
  return { start, end }
}

const pidIn = (file: string): number | undefined =>
  existsSync(file) ? Number(readFileSync(file, 'utf8')) || undefined : undefined

async function importImage(docker: Dockerode, folder: string): Promise<void> {
  const tar = execFileSync('tar', ['-c', '-C', buildRootFs(join(folder, 'rootfs')), '.'], { maxBuffer: 64 << 20 })
  const [repo, tag] = IMAGE.split(':')
  const stream = await docker.importImage(tar as never, { repo, tag, changes: 'CMD ["/bin/serve"]' })
  for await (const _ of stream) {
    // The import is done when its progress ends.
  }
}

async function run(docker: Dockerode, options: RunOptions, name: string, network: string): Promise<TestContainer> {
  const [first = network, ...more] = options.networks ?? []
  const container = await docker.createContainer(createRequest(options, name, first))
  for (const other of more) await docker.getNetwork(other).connect({ Container: container.id })
  if (options.start !== false) await container.start()
  const address = async (of = first) => (await container.inspect()).NetworkSettings.Networks[of]?.IPAddress ?? ''
  return { id: container.id, name, container, address }
}

function createRequest(options: RunOptions, name: string, network: string): Dockerode.ContainerCreateOptions {
  const { publish = {}, expose = [80] } = options
  const ports = [...new Set([...expose, ...Object.keys(publish).map(Number)])]
  const bindings = Object.entries(publish).map(([port, host]) => [`${port}/tcp`, [{ HostPort: String(host) }]])
  return {
    name,
    Image: IMAGE,
    Labels: { ...options.labels },
    ...(options.cmd && { Cmd: [...options.cmd] }),
    ...(options.env && { Env: [...options.env] }),
    ...(options.health && { Healthcheck: healthCheck(options.health) }),
    // Docker refuses ports together with another container's network.
    ...(!network.startsWith('container:') && { ExposedPorts: Object.fromEntries(ports.map((p) => [`${p}/tcp`, {}])) }),
    ...options.create,
    HostConfig: { NetworkMode: network, PortBindings: Object.fromEntries(bindings), ...options.hostConfig },
  }
}

const SECOND_NS = 1_000_000_000

const healthCheck = (command: string) => ({
  Test: ['CMD-SHELL', command],
  Interval: SECOND_NS,
  Timeout: SECOND_NS,
  Retries: 1,
})

async function tearDown(docker: Dockerode, daemon: ReturnType<typeof createDaemon>, folder: string): Promise<void> {
  await daemon.start().catch(() => undefined)
  await removeEverything(docker).catch(() => undefined)
  await daemon.end()
  unmountBelow(folder)
  rmSync(folder, { recursive: true, force: true })
}

/** Networks too: their bridges would stay behind as interfaces of this machine. */
async function removeEverything(docker: Dockerode): Promise<void> {
  const containers = await docker.listContainers({ all: true })
  await Promise.all(
    containers.map(({ Id }) =>
      docker
        .getContainer(Id)
        .remove({ force: true, v: true })
        .catch(() => {}),
    ),
  )
  const networks = await docker.listNetworks()
  const ours = networks.filter(({ Driver, Scope }) => Driver === 'bridge' && Scope === 'local')
  await Promise.all(ours.map(({ Id }) => docker.getNetwork(Id).remove()))
}

function unmountBelow(folder: string): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${folder}/`))
  for (const path of mounts.reverse()) execFileSync('umount', ['-l', path])
}
