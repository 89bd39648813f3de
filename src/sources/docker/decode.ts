import { type Fields, fields, items, string, strings } from '../../lib/docker/fields.js'
import { readHealth, readName, readState, readStopTimeout } from '../../lib/docker/words.js'
import type { InstanceHealth } from '../../model/instance.js'
import { type Container, type ContainerAddress, isUp } from './container.js'
import { inspectedPorts, listedPorts } from './ports.js'
import { signalNumber } from './stopping.js'

/**
 * Two readings of the same container that agree: one from an entry of `/containers/json`, one from
 * `/containers/ID/json` (Docker's Engine API 1.41 and later, Podman's service since 4). Undefined: it has no id.
 */
export function fromListEntry(value: unknown, podman: boolean): Container | undefined {
  const entry = fields(value)
  const id = string(entry['Id'])
  if (id === '') return undefined
  const state = readState(entry['State'])
  const up = isUp({ state })
  const ports = listedPorts(entry['Ports'], up)
  return {
    id,
    name: readName(id, items(entry['Names'])),
    labels: strings(entry['Labels']),
    state,
    health:
      state === 'running' ? (readHealth(fields(entry['Health'])['Status']) ?? healthInStatus(entry['Status'])) : 'none',
    createdAt: typeof entry['Created'] === 'number' ? Math.floor(entry['Created']) * 1000 : 0,
    networkMode: string(fields(entry['HostConfig'])['NetworkMode']),
    addresses: up ? readAddresses(entry) : [],
    ports,
    // Without ports it may be on the host's network, where the list does not tell them.
    complete: up && !podman && ports.length > 0,
  }
}

/** @param keeps whether the whole answer is kept with it */
export function fromInspect(value: unknown, keeps = false): Container | undefined {
  const answer = fields(value)
  const id = string(answer['Id'])
  if (id === '') return undefined
  const config = fields(answer['Config'])
  const status = fields(answer['State'])
  const state = readState(status['Status'])
  const up = isUp({ state })
  const health = fields(status['Health'] ?? status['Healthcheck'])['Status']
  const created = Date.parse(string(answer['Created']))
  return {
    id,
    name: readName(id, [answer['Name']]),
    labels: strings(config['Labels']),
    state,
    health: state === 'running' ? (readHealth(health) ?? 'none') : 'none',
    createdAt: Number.isNaN(created) ? 0 : Math.floor(created / 1000) * 1000,
    networkMode: string(fields(answer['HostConfig'])['NetworkMode']),
    addresses: up ? readAddresses(answer) : [],
    ports: inspectedPorts(answer, up),
    complete: true,
    ...(keeps && { inspect: answer }),
    stop: { signal: signalNumber(string(config['StopSignal'])) ?? SIGTERM, timeoutMs: readStopTimeout(config) },
  }
}

const SIGTERM = 15
/** `Up 3 seconds (health: starting)`, `Up 2 minutes (healthy)`. */
function healthInStatus(value: unknown): InstanceHealth {
  const word = /\((?:health: )?(starting|healthy|unhealthy)\)$/.exec(string(value))?.[1]
  return readHealth(word) ?? 'none'
}

/** Host networking has an entry without an address; that is for the one who knows the host's address. */
function readAddresses(answer: Fields): ContainerAddress[] {
  const networks = Object.entries(fields(fields(answer['NetworkSettings'])['Networks']))
  return networks
    .map(([network, value]) => toAddress(network, fields(value)))
    .filter(({ address }) => address !== '')
    .sort((a, b) => (a.network < b.network ? -1 : 1))
}

const toAddress = (network: string, entry: Fields): ContainerAddress => ({
  network,
  address: string(entry['IPAddress']) || string(entry['GlobalIPv6Address']),
  gateway: string(entry['Gateway']),
})
