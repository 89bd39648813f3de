import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import type Dockerode from 'dockerode'
import { request } from 'undici'
import { startDockerd, type TestDockerd } from '../support/dockerd.js'
import { startEtcd } from '../support/etcd.js'
import { build, type DockerCli, dockerCli, importBase, projectCopy } from '../support/image-build.js'
import { freePort } from '../support/ports.js'
import { describeWith } from '../support/servers.js'
import { until } from '../support/wait.js'

const SERVERS = ['dockerd', 'docker', 'docker-compose', 'debootstrap', 'busybox', 'etcd']

describeWith(SERVERS, "Hostler's container image", () => {
  let dockerd: TestDockerd
  let cli: DockerCli
  let project: string
  const started: Dockerode.Container[] = []

  beforeAll(async () => {
    project = projectCopy()
    dockerd = await startDockerd()
    cli = dockerCli(dockerd.host)
    await importBase(cli, baseName(project))
    await build(cli, project, 'hostler')
    await build(cli, project, 'hostler:sidecar', '--target', 'sidecar')
    // What the compose examples would pull.
    await dockerd.docker.getImage(dockerd.image).tag({ repo: 'traefik/whoami', tag: 'v1.10' })
    await dockerd.docker.getImage('hostler').tag({ repo: 'haproxy', tag: '2.8-alpine' })
    await dockerd.run({ name: 'shop', labels: { 'hostler.port': '80' } })
  }, 600_000)

  const removeStarted = () =>
    Promise.all(started.splice(0).map((container) => container.remove({ force: true, v: true })))

  afterEach(removeStarted)
  afterAll(() => dockerd?.stop())

  /** One command in a container that is gone afterwards. */
  const once = (...args: string[]) => cli.docker('run', '--rm', '--network', 'none', ...args)

  /** `docker run` with a health check every second; the container goes after the test. */
  async function start(...args: string[]): Promise<Dockerode.Container> {
    const fixed = [
      '--detach',
      '--health-interval',
      '1s',
      '--network',
      dockerd.network,
      '--env',
      'HOSTLER_DOMAIN=ci.test',
    ]
    const { code, output } = await cli.docker('run', ...fixed, ...args)
    if (code !== 0) throw new Error(output)
    const container = dockerd.docker.getContainer(output.trim())
    started.push(container)
    return container
  }
  const socket = () => ['--volume', `${dockerd.socket}:/var/run/docker.sock:ro`]
  const socketGroup = () => ['--group-add', String(statSync(dockerd.socket).gid)]

  const exec = (container: Dockerode.Container, ...command: string[]) => cli.docker('exec', container.id, ...command)

  const healthy = (container: Dockerode.Container) =>
    until('the container is healthy', async () => (await container.inspect()).State.Health?.Status === 'healthy').catch(
      async (error) => {
        throw new Error((await cli.docker('logs', container.id)).output, { cause: error })
      },
    )

  async function statusOf(container: Dockerode.Container, host: string): Promise<number> {
    const address = (await container.inspect()).NetworkSettings.Networks[dockerd.network]?.IPAddress
    return statusAt(`${address}:80`, host)
  }

  test('is labelled, belongs to a user of its own, and is asked to end by SIGTERM', async () => {
    const { Config } = await dockerd.docker.getImage('hostler').inspect()

    expect(Config).toMatchObject({ User: 'hostler', StopSignal: 'SIGTERM', Cmd: ['run'] })
    expect(Config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'Hostler',
      'org.opencontainers.image.licenses': 'MIT',
    })
  })

  test('hands every command of Hostler to Hostler', async () => {
    const help = await once('hostler', '--help')
    const listed = [...(help.output.split('Commands:')[1] ?? '').matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name)
    const names = [...new Set([...listed, 'generate-maps'])].filter((name) => name !== 'help').join(' ')
    const { output } = await once(
      'hostler',
      'sh',
      '-c',
      `for name in ${names}; do hostler-entrypoint $name --help; done`,
    )

    expect(listed).toEqual(expect.arrayContaining(['run', 'haproxy', 'config']))
    expect(output.match(/^Usage: hostler /gm)).toHaveLength(names.split(' ').length)
  })

  test('shows the settings in force, and takes flags without a command', async () => {
    const config = await once('--env', 'STACK_DOMAIN=ci.test', 'hostler', 'config')
    const version = await once('hostler', '--version')

    expect(config).toMatchObject({ code: 0, output: expect.stringMatching(/^domain +ci\.test +env STACK_DOMAIN$/m) })
    expect(version).toEqual({ code: 0, output: packageVersion(project) })
  })

  test('ends with 2 and one line when a setting is missing', async () => {
    expect(await once('hostler')).toEqual({
      code: 2,
      output: expect.stringMatching(/^hostler: domain is not set[^\n]*$/),
    })
  })

  test('executes anything else as given', async () => {
    const shell = await once('hostler', 'sh', '-c', 'id -un; exit 7')
    const proxy = await once('hostler', 'haproxy', '-v')

    expect(shell).toEqual({ code: 7, output: 'hostler' })
    expect(proxy).toMatchObject({ code: 0, output: expect.stringMatching(/^HAProxy version/) })
  })

  test('comes without HAProxy as a sidecar', async () => {
    expect(await once('hostler:sidecar', 'haproxy', '-v')).toMatchObject({ code: 127 })
    expect(await once('hostler:sidecar', '--version')).toMatchObject({ code: 0 })
  })

  test('routes to a labelled container through its HAProxy without any privilege, and ends in order', async () => {
    const hardened = ['--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']
    const container = await start(...socket(), ...socketGroup(), ...hardened, 'hostler')
    await healthy(container)

    expect(await statusOf(container, 'shop.ci.test')).toBe(200)
    expect(await statusOf(container, 'unknown.ci.test')).toBe(404)
    expect(await usersOf(container)).toEqual(['8008'])
    await container.stop({ t: 15 })
    expect((await container.inspect()).State).toMatchObject({ ExitCode: 0 })
  })

  test('started as root, becomes its user and keeps what Docker and low ports need, nothing else', async () => {
    const container = await start(...socket(), '--user', 'root', 'hostler')
    await healthy(container)

    expect(await statusOf(container, 'shop.ci.test')).toBe(200)
    expect(await usersOf(container)).toEqual(['8008'])
    const { Pid } = (await container.inspect()).State
    const status = readFileSync(`/proc/${Pid}/status`, 'utf8')
    const groups = /^Groups:\t([\d ]*)$/m.exec(status)?.[1]?.trim().split(' ').map(Number)
    expect(new Set(groups)).toEqual(new Set([statSync(dockerd.socket).gid, 8008]))
    // CAP_NET_BIND_SERVICE is the tenth bit.
    expect(status).toMatch(/^CapEff:\t0000000000000400$/m)
    expect(status).toMatch(/^NoNewPrivs:\t1$/m)
  })

  test('is healthy once its first plan is in force, and stays so when a source fails later', async () => {
    const container = await start('--env', 'HOSTLER_SOURCES=file', '--env', 'HOSTLER_FILE=/tmp/stacks.yml', 'hostler')
    const check = () => exec(container, 'node', '/opt/hostler/scripts/healthcheck.mjs')
    await until('it answers', async () => (await exec(container, 'hostler', 'status')).code === 0)
    expect(await check()).toMatchObject({ code: 1, output: expect.stringContaining('source file') })

    await exec(container, 'sh', '-c', 'echo "instances: []" > /tmp/stacks.yml')
    await until('it is ready', async () => JSON.stringify(await check()) === '{"code":0,"output":""}')
    await exec(container, 'sh', '-c', 'echo "instances: [" > /tmp/stacks.yml')
    await until('the failure is told', async () => (await check()).output.includes('source file'))
    expect(await check()).toMatchObject({ code: 0 })
  })

  test("runs predecessor 1's pair: haproxy, and generate-maps that shares its files", async () => {
    const files = ['--volume', 'haproxy-files:/usr/local/etc/haproxy']
    const source = ['--env', 'HOSTLER_SOURCES=docker', ...socket(), ...socketGroup()]
    const generator = await start(...source, ...files, 'hostler', 'generate-maps')
    await healthy(generator)
    const container = await start(...files, 'hostler', 'haproxy')
    await healthy(container)

    expect(await statusOf(container, 'shop.ci.test')).toBe(200)
  })

  for (const file of ['haproxy/compose.yml', 'haproxy/compose.sidecar.yml', 'traefik/compose.yml']) {
    test(`${file} is a valid compose file`, async () => {
      await cli.compose(project, ['--file', file, 'config', '--quiet'])
    })
  }

  for (const file of ['compose.yml', 'compose.sidecar.yml']) {
    test(`docker-compose up with haproxy/${file} brings a stack that answers, and one that sleeps and wakes`, async () => {
      const [http, https] = [await freePort(), await freePort()]
      const ports = { HTTP_PORT: String(http), HTTPS_PORT: String(https), DOCKER_SOCKET: dockerd.socket, IDLE: '1s' }
      const compose = (...args: string[]) => cli.compose(join(project, 'haproxy'), ['--file', file, ...args], ports)
      try {
        await compose('up', '--detach', '--build')
        const answers = (host: string) => async () => (await statusAt(`127.0.0.1:${http}`, host)) === 200
        await until('the demo app answers', answers('hello.localhost')).catch(async (error) => {
          throw new Error(await compose('logs', '--no-color'), { cause: error })
        })
        const labels = { 'com.docker.compose.project': 'app-r123', 'hostler.port': '80' }
        const { container } = await dockerd.run({ networks: ['hostler'], labels })
        started.push(container)
        await until('a stack that joins the network answers', answers('app-r123.localhost'))

        // Hostler looks for idle stacks every ten seconds.
        const sleepy = dockerd.docker.getContainer((await compose('ps', '--all', '--quiet', 'sleepy')).trim())
        const state = async () => (await sleepy.inspect()).State.Status
        await until('the idle stack sleeps', async () => (await state()) === 'exited', 40_000).catch(async (error) => {
          throw new Error(await compose('logs', '--no-color'), { cause: error })
        })
        expect([await statusAt(`127.0.0.1:${http}`, 'sleepy.localhost'), await state()]).toEqual([200, 'running'])
      } finally {
        await removeStarted()
        await compose('down', '--volumes', '--timeout', '15')
      }
    })
  }

  test('docker-compose up with the files for many hosts routes to what the agent announces', async () => {
    const { IPAM } = await dockerd.docker.getNetwork(dockerd.network).inspect()
    const address = String(IPAM?.Config?.[0]?.Gateway)
    const http = String(await freePort())
    const ports = { HTTP_PORT: http, HTTPS_PORT: String(await freePort()), DOCKER_SOCKET: dockerd.socket }
    const env = { HOST_NAME: 'host-1', HOST_ADDRESS: address, REGISTRY_ADDRESS: address, LEASE: '2s', ...ports }
    const files = ['--file', 'agent.yml', '--file', 'proxy.yml']
    const compose = (...args: string[]) => cli.compose(join(project, 'many-hosts'), [...files, ...args], env)
    // Its image cannot be had here.
    const etcd = await startEtcd({ address, port: 2379 })
    try {
      await compose('up', '--detach', '--no-build')
      const status = () => statusAt(`127.0.0.1:${http}`, 'hello.localhost')
      await until('the demo app answers', async () => (await status()) === 200).catch(async (error) => {
        throw new Error(await compose('logs', '--no-color'), { cause: error })
      })
      const agent = dockerd.docker.getContainer((await compose('ps', '--quiet', 'agent')).trim())
      await healthy(agent)
      await compose('kill', 'agent')
      await until('its routes are gone', async () => (await status()) === 404)
      await compose('up', '--detach', '--no-build', 'agent')
      await until('they are back', async () => (await status()) === 200)
    } finally {
      await compose('down', '--volumes', '--timeout', '15')
      await etcd.stop()
    }
  })
})

/** The base image that the Dockerfile takes unless told otherwise. */
const baseName = (project: string): string =>
  /^ARG BASE_IMAGE=(\S+)$/m.exec(readFileSync(join(project, 'Dockerfile'), 'utf8'))?.[1] ?? ''

const packageVersion = (project: string): string =>
  JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')).version

async function statusAt(address: string, host: string): Promise<number> {
  const { statusCode, body } = await request(`http://${address}/`, {
    headers: { host },
    headersTimeout: 10_000,
    reset: true,
  })
  await body.dump()
  return statusCode
}

/** The user ids of a container's processes, health checks aside: those run as whoever the container was started as. */
async function usersOf(container: Dockerode.Container): Promise<string[]> {
  const { Processes } = (await container.top({ ps_args: '-eo pid,uid,args' })) as { Processes: string[][] }
  const own = Processes.filter(([, , command]) => !command?.includes('healthcheck'))
  return [...new Set(own.map(([, uid]) => uid ?? ''))]
}
