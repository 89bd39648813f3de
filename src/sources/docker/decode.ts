import type { InstanceHealth, InstanceState } from '../../model/instance.js'
import { type Container, type ContainerAddress, isUp } from './container.js'
import { type Fields, fields, items, string, strings } from './fields.js'
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

export function fromInspect(value: unknown): Container | undefined {
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
    stop: { signal: signalNumber(string(config['StopSignal'])) ?? SIGTERM, timeoutMs: readStopTimeout(config) },
  }
}

const SIGTERM = 15
const DEFAULT_STOP_MS = 10_000

/** Podman says 0 where nothing was chosen. */
function readStopTimeout(config: Fields): number {
  const seconds = config['StopTimeout']
  return typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : DEFAULT_STOP_MS
}

/** A linked container has more names, like `/other/alias`. */
function readName(id: string, names: readonly unknown[]): string {
  const own = names.map(string).find((name) => name !== '' && !name.slice(1).includes('/'))
  return own?.replace(/^\//, '') || id.slice(0, 12)
}

const STATES: Readonly<Record<string, InstanceState>> = {
  running: 'running',
  paused: 'paused',
  restarting: 'restarting',
  stopping: 'stopping',
}

function readState(value: unknown): InstanceState {
  const word = string(value)
  return Object.hasOwn(STATES, word) ? (STATES[word] ?? 'stopped') : 'stopped'
}

const HEALTHS: Readonly<Record<string, InstanceHealth>> = {
  starting: 'starting',
  healthy: 'healthy',
  unhealthy: 'unhealthy',
}

function readHealth(value: unknown): InstanceHealth | undefined {
  const word = string(value)
  return Object.hasOwn(HEALTHS, word) ? HEALTHS[word] : undefined
}

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
