import { Agent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'
import { inspect } from 'node:util'
import Dockerode from 'dockerode'
import type { Endpoint } from './endpoint.js'

/** A dockerode client for this endpoint and for nothing that the environment says. */
export function createDockerode(endpoint: Endpoint): Dockerode {
  // dockerode reads DOCKER_HOST even when it is told where to go, and throws on our comma list.
  const saved = process.env['DOCKER_HOST']
  delete process.env['DOCKER_HOST']
  try {
    return new Dockerode(optionsOf(endpoint))
  } finally {
    if (saved !== undefined) process.env['DOCKER_HOST'] = saved
  }
}

function optionsOf(endpoint: Endpoint): Dockerode.DockerOptions & { agent: Agent } {
  // A kept connection may have been closed at the other end, and the request on it would fail for nothing.
  if (endpoint.kind === 'unix') return { socketPath: endpoint.path, agent: untold(new Agent()) }
  const { host, port, tls } = endpoint
  if (!tls) return { host, port, protocol: 'http', agent: untold(new Agent()) }
  return { host, port, protocol: 'https', agent: untold(new TlsAgent()), ...tls }
}

/**
 * docker-modem makes a text of each request's options, down to the last socket of the agent, whether anybody debugs it or
 * not: 10 ms while events are followed.
 */
const untold = <T extends Agent>(agent: T): T => Object.assign(agent, { [inspect.custom]: () => 'Agent' })
