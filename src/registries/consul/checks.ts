import { formatDuration } from '../../lib/duration.js'
import type { Instance } from '../../model/instance.js'
import {
  type Complaint,
  type Read,
  readBoolean,
  readDuration,
  readHealthCheck,
  readPort,
} from '../../model/label-values.js'
import type { HealthCheck, Scheme } from '../../model/plan.js'
import type { Endpoint } from './endpoints.js'

/** A check that Consul's agent makes, as its API takes it. */
export interface AgentCheck {
  readonly CheckID: string
  readonly Name: string
  readonly HTTP?: string
  readonly TCP?: string
  readonly TLSSkipVerify?: boolean
  readonly Interval?: string
  readonly Timeout?: string
  readonly AliasService?: string
  readonly DeregisterCriticalServiceAfter?: string
}

export type EndpointOfPort = (containerPort: number) => Endpoint | undefined

/** No label may make an agent ask without a pause. */
const MIN_INTERVAL_MS = 1000
/** Consul counts in nanoseconds, and refuses what it cannot count. */
const MAX_INTERVAL_MS = 86_400_000
const TOO_LONG: Complaint = { reason: 'it is longer than a day', remedy: 'write at most 24h' }
const DEFAULT_INTERVAL_MS = 10_000
const MAX_TIMEOUT_MS = 60_000

/** Says that a label is left out, and why. */
export type Complain = (label: string, complaint: Complaint) => void

/** What `hostler.health-check` asks for. */
export function checkOfRoute({ id, route, at, prefix }: RouteCheckInputs, complain: Complain): AgentCheck[] {
  const { healthCheck, scheme, port } = route
  if (!healthCheck) return []
  const { intervalMs } = healthCheck
  if (intervalMs > MAX_INTERVAL_MS) complain(`${prefix}.health-check-interval`, TOO_LONG)
  const endpoint = reached(at, healthCheck.port ?? port, `${prefix}.health-check`, complain)
  const times = { ...healthCheck, intervalMs: intervalMs > MAX_INTERVAL_MS ? DEFAULT_INTERVAL_MS : intervalMs }
  return endpoint ? [httpCheck(id, endpoint, { ...times, isSecure: scheme === 'https' })] : []
}

interface RouteCheckInputs {
  readonly id: string
  readonly route: { readonly healthCheck?: HealthCheck; readonly scheme: Scheme; readonly port: number }
  readonly at: EndpointOfPort
  readonly prefix: string
}

/** What `rancon.check.http`, `rancon.check.tcp` and their `interval` and `timeout` ask for. */
export function checksOfLabels({ id, instance, endpoint, at }: LabelCheckInputs, complain: Complain): AgentCheck[] {
  const read = <T>(label: string, reader: (text: string) => Read<T>): T | undefined => {
    const text = instance.labels[label]
    const result = text === undefined ? undefined : reader(text)
    if (result && 'complaint' in result) complain(label, result.complaint)
    return result && 'value' in result ? result.value : undefined
  }
  const intervalMs = read('rancon.check.interval', readInterval) ?? DEFAULT_INTERVAL_MS
  const timeoutMs = read('rancon.check.timeout', readDuration) ?? 5000
  const own = [instance.name, ...instance.networks.map(({ address }) => address)]
  const http = read('rancon.check.http', (text) => readHealthCheck(text, own))
  const tcp = read('rancon.check.tcp', readTcp)
  const on = (label: string, port: number | undefined) =>
    port === undefined ? endpoint : reached(at, port, label, complain)
  const httpAt = http && on('rancon.check.http', http.port)
  const tcpAt = tcp === undefined || tcp === false ? undefined : on('rancon.check.tcp', tcp === true ? undefined : tcp)
  return [
    ...(http && httpAt ? [httpCheck(id, httpAt, { path: http.path, intervalMs, timeoutMs, isSecure: false })] : []),
    ...(tcpAt ? [tcpCheck(id, tcpAt, { intervalMs, timeoutMs })] : []),
  ]
}

function reached(at: EndpointOfPort, port: number, label: string, complain: Complain): Endpoint | undefined {
  const endpoint = at(port)
  if (!endpoint)
    complain(label, {
      reason: `port ${port} of the container cannot be reached`,
      remedy: 'publish it, or name another',
    })
  return endpoint
}

const readInterval = (text: string): Read<number> => {
  const read = readDuration(text)
  return 'value' in read && read.value > MAX_INTERVAL_MS ? { complaint: TOO_LONG } : read
}

interface LabelCheckInputs {
  readonly id: string
  readonly instance: Instance
  readonly endpoint: Endpoint
  readonly at: EndpointOfPort
}

/** `true` for the port of the entry itself, or a port of the container. */
function readTcp(text: string): Read<number | boolean> {
  const asked = readBoolean(text)
  return 'value' in asked && text.trim() !== '1' ? asked : readPort(text)
}

interface Times {
  readonly intervalMs: number
  readonly timeoutMs: number
}

function httpCheck(
  id: string,
  endpoint: Endpoint,
  ask: Times & { readonly path: string; readonly isSecure: boolean },
): AgentCheck {
  const url = `${ask.isSecure ? 'https' : 'http'}://${hostAndPort(endpoint)}${ask.path}`
  return {
    ...{ CheckID: `${id}:http`, Name: `HTTP of ${hostAndPort(endpoint)}`, HTTP: url },
    ...(ask.isSecure && { TLSSkipVerify: true }),
    ...timesOf(ask),
  }
}

const tcpCheck = (id: string, endpoint: Endpoint, times: Times): AgentCheck => ({
  ...{ CheckID: `${id}:tcp`, Name: `TCP of ${hostAndPort(endpoint)}`, TCP: hostAndPort(endpoint) },
  ...timesOf(times),
})

const timesOf = ({ intervalMs, timeoutMs }: Times) => ({
  Interval: formatMs(Math.max(intervalMs, MIN_INTERVAL_MS)),
  Timeout: formatMs(Math.min(Math.max(timeoutMs, 100), MAX_TIMEOUT_MS)),
})

/** Consul knows no days. */
const formatMs = (ms: number): string => (ms % 86_400_000 === 0 ? `${ms / 3_600_000}h` : formatDuration(ms))

const hostAndPort = ({ host, port }: Endpoint): string => `${host.includes(':') ? `[${host}]` : host}:${port}`
