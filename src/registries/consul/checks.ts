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
const MAX_TIMEOUT_MS = 60_000

/** What `hostler.health-check` asks for. */
export function checkOfRoute(
  id: string,
  { healthCheck, scheme, port }: { readonly healthCheck?: HealthCheck; readonly scheme: Scheme; readonly port: number },
  at: EndpointOfPort,
): AgentCheck[] {
  if (!healthCheck) return []
  const endpoint = at(healthCheck.port ?? port)
  return endpoint ? [httpCheck(id, endpoint, { ...healthCheck, isSecure: scheme === 'https' })] : []
}

/** What `rancon.check.http`, `rancon.check.tcp` and their `interval` and `timeout` ask for. */
export function checksOfLabels(
  { id, instance, endpoint, at }: LabelCheckInputs,
  complain: (label: string, complaint: Complaint) => void,
): AgentCheck[] {
  const read = <T>(label: string, reader: (text: string) => Read<T>): T | undefined => {
    const text = instance.labels[label]
    const result = text === undefined ? undefined : reader(text)
    if (result && 'complaint' in result) complain(label, result.complaint)
    return result && 'value' in result ? result.value : undefined
  }
  const intervalMs = read('rancon.check.interval', readDuration) ?? 10_000
  const timeoutMs = read('rancon.check.timeout', readDuration) ?? 5000
  const own = [instance.name, ...instance.networks.map(({ address }) => address)]
  const http = read('rancon.check.http', (text) => readHealthCheck(text, own))
  const tcp = read('rancon.check.tcp', readTcp)
  const httpAt = http && (http.port === undefined ? endpoint : at(http.port))
  const tcpAt = tcp === undefined || tcp === false ? undefined : tcp === true ? endpoint : at(tcp)
  return [
    ...(http && httpAt ? [httpCheck(id, httpAt, { path: http.path, intervalMs, timeoutMs, isSecure: false })] : []),
    ...(tcpAt ? [tcpCheck(id, tcpAt, { intervalMs, timeoutMs })] : []),
  ]
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
