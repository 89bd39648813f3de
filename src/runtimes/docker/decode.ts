import { type Fields, fields, items, string, strings } from '../../lib/docker/fields.js'
import { readHealth, readName, readState, readStopTimeout } from '../../lib/docker/words.js'
import type { Traffic, Workload } from '../runtime.js'

/** What inspecting tells, with what only ending and removing it need. */
export interface Inspected {
  readonly workload: Workload
  readonly stopTimeoutMs: number
  /** Somebody is removing it already. */
  readonly removing: boolean
}

/** The answer of `/containers/ID/json`; undefined when it is none. */
export function readInspected(value: unknown): Inspected | undefined {
  const answer = fields(value)
  const id = string(answer['Id'])
  if (id === '') return undefined
  const [config, status] = [fields(answer['Config']), fields(answer['State'])]
  const workload: Workload = {
    id,
    name: readName(id, [answer['Name']]),
    image: string(config['Image']),
    labels: strings(config['Labels']),
    env: readEnv(items(config['Env'])),
    networks: Object.keys(fields(fields(answer['NetworkSettings'])['Networks'])).sort(),
    ...readCondition(status),
    createdAt: readTime(answer['Created']),
    startedAt: readTime(status['StartedAt']),
    endedAt: readTime(status['FinishedAt']),
    restarts: readCount(answer['RestartCount']) ?? 0,
  }
  return { workload, stopTimeoutMs: readStopTimeout(config), removing: status['Status'] === 'removing' }
}

function readCondition(status: Fields): Pick<Workload, 'state' | 'health' | 'exitCode'> {
  const state = readState(status['Status'])
  const health = readHealth(fields(status['Health'] ?? status['Healthcheck'])['Status'])
  const exitCode = readTime(status['FinishedAt']) > 0 ? readCount(status['ExitCode']) : undefined
  return {
    state,
    health: state === 'running' ? (health ?? 'none') : 'none',
    ...((state === 'stopped' || state === 'restarting') && exitCode !== undefined && { exitCode }),
  }
}

const readCount = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined

/** The year 1 stands for never. */
const readTime = (value: unknown): number => Math.max(Date.parse(string(value)) || 0, 0)

function readEnv(lines: readonly unknown[]): Record<string, string> {
  return Object.fromEntries(
    lines.map(string).map((line) => {
      const [name = ''] = line.split('=', 1)
      return [name, line.slice(name.length + 1)]
    }),
  )
}

/** The answer of `/containers/ID/stats`; undefined for one without network interfaces of its own, or not running. */
export function readTraffic(value: unknown): Traffic | undefined {
  const interfaces = Object.values(fields(fields(value)['networks'])).map(fields)
  if (interfaces.length === 0) return undefined
  const sum = (name: string) => interfaces.reduce((total, counters) => total + (readCount(counters[name]) ?? 0), 0)
  return { receivedBytes: sum('rx_bytes'), sentBytes: sum('tx_bytes') }
}
