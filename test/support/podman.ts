import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Dockerode from 'dockerode'
import { claimSubnet, programPath, unmountBelow } from './machine.js'
import { buildRootFs } from './rootfs.js'
import { type RunOptions, run, type TestContainer } from './run-container.js'
import { until } from './wait.js'

/**
 * A Podman service of its own, as root, with one image of busybox in it. Without systemd it runs no health checks, and
 * nothing listens on the ports that its containers publish.
 */
export interface TestPodman {
  readonly socket: string
  /** `unix://SOCKET` */
  readonly host: string
  readonly docker: Dockerode
  readonly image: string
  readonly network: string
  run(options?: RunOptions): Promise<TestContainer>
  /** A second bridge; returns its name. */
  createNetwork(name?: string): string
  /** Runs `podman ARGS` on the same containers, e.g. `healthcheck run NAME`. Returns what it printed. */
  podman(...args: string[]): string
  removeContainers(): void
  /** Ends the service; containers go on. */
  halt(): Promise<void>
  resume(): Promise<void>
  stop(): Promise<void>
}

const IMAGE = 'localhost/hostler-test:latest'

export async function startPodman(): Promise<TestPodman> {
  const { folder, number } = claimSubnet()
  const socket = join(folder, 'p.sock')
  const docker = new Dockerode({ socketPath: socket })
  const engine = createPodman(folder, socket, docker)
  const network = 'apps'
  let made = 0
  const createNetwork = (name = `net-${++made}`) => {
    writeNetwork(folder, name, number, ++made)
    return name
  }
  const stop = () => tearDown(engine, folder)
  try {
    configure(folder)
    leaveFirewallAlone(folder)
    createNetwork(network)
    importImage(engine, folder)
    await engine.start()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    ...{ socket, host: `unix://${socket}`, docker, image: IMAGE, network, createNetwork, stop },
    run: (options = {}) => run(docker, { image: IMAGE, network, name: `c-${++made}`, ...options }),
    removeContainers: () => removeContainers(engine),
    ...{ podman: engine.call, halt: engine.end, resume: engine.start },
  }
}

type Podman = ReturnType<typeof createPodman>

function createPodman(folder: string, socket: string, docker: Dockerode) {
  const program = programPath('podman')
  const where = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--tmpdir', join(folder, 'tmp')]
  const env = {
    ...process.env,
    CONTAINERS_CONF: join(folder, 'containers.conf'),
    PATH: `${join(folder, 'bin')}:${process.env['PATH']}:/usr/sbin:/sbin`,
  }
  let child: ChildProcess | undefined
  const start = async () => {
    if (child) return
    const log = openSync(join(folder, 'log'), 'a')
    const service = ['system', 'service', '--time=0', `unix://${socket}`]
    // The service must not outlive a test run that is killed.
    child = spawn('setpriv', ['--pdeathsig', 'TERM', program, ...where, ...service], {
      stdio: ['ignore', log, log],
      env,
    })
    closeSync(log)
    await until(`podman answers on ${socket} (see ${folder}/log)`, () => docker.ping())
  }
  const end = async () => {
    const exited = child && child.exitCode === null ? once(child, 'exit') : undefined
    child?.kill('SIGTERM')
    child = undefined
    await exited
  }
  const call = (...args: string[]) =>
    execFileSync(program, [...where, ...args], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  return { start, end, call }
}

/** Without systemd, and with limits that a container without special rights may set. */
function configure(folder: string): void {
  mkdirSync(join(folder, 'net'))
  writeFileSync(
    join(folder, 'containers.conf'),
    `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
[network]
network_backend = "netavark"
network_config_dir = "${join(folder, 'net')}"
`,
  )
}

/**
 * Two Podmans at once trip over each other in the machine's firewall, and leave chains in it. Containers are reached
 * without its help; only what they publish is not.
 */
function leaveFirewallAlone(folder: string): void {
  mkdirSync(join(folder, 'bin'))
  for (const name of ['iptables', 'ip6tables']) {
    writeFileSync(join(folder, 'bin', name), '#!/bin/sh\n[ "$1" = --version ] && echo "iptables v1.8.9"\nexit 0\n', {
      mode: 0o755,
    })
  }
}

/** Written by hand: Podman itself may give two networks of two roots the same interface. */
function writeNetwork(folder: string, name: string, number: number, index: number): void {
  const subnet = { subnet: `10.${number}.${index}.0/24`, gateway: `10.${number}.${index}.1` }
  const network = {
    name,
    id: createHash('sha256').update(name).digest('hex'),
    driver: 'bridge',
    network_interface: `hp${number}n${index}`,
    created: new Date().toISOString(),
    subnets: [subnet],
    ...{ ipv6_enabled: false, internal: false, dns_enabled: false, ipam_options: { driver: 'host-local' } },
  }
  writeFileSync(join(folder, 'net', `${name}.json`), JSON.stringify(network))
}

function importImage({ call }: Podman, folder: string): void {
  const archive = join(folder, 'rootfs.tar')
  execFileSync('tar', ['-c', '-f', archive, '-C', buildRootFs(join(folder, 'rootfs')), '.'])
  call('import', '--change', 'CMD=["/bin/serve"]', archive, IMAGE)
}

/** Those whose network another one uses can only go after it, which Podman does not sort out by itself. */
function removeContainers({ call }: Podman): void {
  const remove = () => call('rm', '--all', '--force', '--time', '0')
  try {
    remove()
  } catch {
    remove()
  }
}

async function tearDown(engine: Podman, folder: string): Promise<void> {
  try {
    removeContainers(engine)
  } catch {}
  await engine.end()
  unmountBelow(folder)
  rmSync(folder, { recursive: true, force: true })
}
