import type { Instance } from '../../../model/instance.js'

/**
 * The instance as Docker's `GET /containers/ID/json` tells of a container: the engine's own answer where there is one, and as
 * much of it as is known for what comes from elsewhere.
 */
export function inspectOf(instance: Instance): Readonly<Record<string, unknown>> {
  return instance.inspect ?? made(instance)
}

function made({ id, name, labels, state, health, createdAt, networks, ports }: Instance) {
  const addresses = networks.map((network) => [network.name, { IPAddress: network.address }] as const)
  return {
    Id: id,
    Name: `/${name}`,
    Created: new Date(createdAt).toISOString(),
    State: {
      Status: STATUS[state],
      Running: state === 'running' || state === 'stopping' || state === 'paused',
      Paused: state === 'paused',
      ...(health !== 'none' && { Health: { Status: health } }),
    },
    Config: { Hostname: name, Labels: labels, Env: [] },
    NetworkSettings: {
      Networks: Object.fromEntries(addresses),
      Ports: Object.fromEntries(
        ports.map(({ port, published }) => [`${port}/tcp`, published ? [bindingOf(published)] : null]),
      ),
    },
  }
}

const bindingOf = ({ address, port }: { address: string; port: number }) => ({
  HostIp: address,
  HostPort: String(port),
})

const STATUS = {
  running: 'running',
  stopping: 'running',
  paused: 'paused',
  restarting: 'restarting',
  stopped: 'exited',
} as const
