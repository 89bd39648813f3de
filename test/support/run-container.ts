import type Dockerode from 'dockerode'

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

interface RunDefaults {
  readonly image: string
  readonly name: string
  /** The one to join when none is named. */
  readonly network: string
}

export async function run(docker: Dockerode, options: RunOptions & RunDefaults): Promise<TestContainer> {
  const { name, network } = options
  const [first = network, ...more] = options.networks ?? []
  const container = await docker.createContainer(createRequest(options, first))
  for (const other of more) await docker.getNetwork(other).connect({ Container: container.id })
  if (options.start !== false) await container.start()
  const address = async (of = first) => (await container.inspect()).NetworkSettings.Networks[of]?.IPAddress ?? ''
  return { id: container.id, name, container, address }
}

function createRequest(options: RunOptions & RunDefaults, network: string): Dockerode.ContainerCreateOptions {
  const { publish = {}, expose = [80] } = options
  const ports = [...new Set([...expose, ...Object.keys(publish).map(Number)])]
  const bindings = Object.entries(publish).map(([port, host]) => [`${port}/tcp`, [{ HostPort: String(host) }]])
  return {
    name: options.name,
    Image: options.image,
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
