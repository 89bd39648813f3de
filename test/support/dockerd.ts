import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Dockerode from 'dockerode'
import { claimSubnet, endPid, programPath, unmountBelow } from './machine.js'
import { buildRootFs } from './rootfs.js'
import { type RunOptions, run, type TestContainer } from './run-container.js'
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

export interface DockerdOptions {
  /** More arguments for dockerd, e.g. `--live-restore` or `-H tcp://127.0.0.1:1234`. */
  readonly args?: readonly string[]
  /** What it is started by: a command that ends with the one to be run. */
  readonly within?: readonly string[]
}

const IMAGE = 'hostler-test:latest'

export type { RunOptions, TestContainer } from './run-container.js'

export async function startDockerd({ args = [], within = [] }: DockerdOptions = {}): Promise<TestDockerd> {
  const { folder, subnet } = claimSubnet()
  const socket = join(folder, 'd.sock')
  const docker = new Dockerode({ socketPath: socket })
  const daemon = createDaemon(folder, socket, docker, [
    ...[...within, programPath('dockerd')],
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
    run: (options = {}) => run(docker, { image: IMAGE, network, name: `c-${++made}`, ...options }),
    halt: daemon.end,
    resume: daemon.start,
    restart: async () => {
      await daemon.end()
      await daemon.start()
    },
  }
}

function createDaemon(folder: string, socket: string, docker: Dockerode, command: readonly string[]) {
  let child: ChildProcess | undefined
  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null
  const start = async () => {
    if (running()) return
    const log = openSync(join(folder, 'log'), 'a')
    // The daemon must not outlive a test run that is killed.
    const spawned = spawn('setpriv', ['--pdeathsig', 'TERM', ...command], {
      stdio: ['ignore', log, log],
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
    })
    child = spawned
    closeSync(log)
    await until(`dockerd answers on ${socket} (see ${folder}/log)`, () => docker.ping())
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
