import { request } from 'undici'
import { HostlerError, messageOf } from '../../lib/errors.js'
import { createSampleReader, type Sample } from '../../lib/prometheus-text.js'
import { withDeadline } from '../../lib/signals.js'
import type { BackendActivity } from '../proxy.js'
import { authorization } from './authorization.js'

export interface TraefikActivityInputs {
  /** Of Traefik's Prometheus metrics; user and password in it are sent as basic authentication. Empty: not known. */
  readonly url: string
  /** The entry points that lead to our services. */
  readonly entryPoints: readonly string[]
  /** The services that Traefik has from us, without `@file`. */
  readonly services: () => readonly string[]
}

/**
 * The traffic of our services as Traefik's metrics tell it. A request counts when it has ended, a service that nobody asked
 * yet has no series, and only Traefik 2 tells what is open. All of it begins anew with Traefik's process.
 */
export function createTraefikActivity({ url, entryPoints, services }: TraefikActivityInputs) {
  let pulse: number | undefined

  return async (signal: AbortSignal): Promise<BackendActivity[]> => {
    if (url === '') throw failed('it is not known where Traefik serves its metrics')
    const figures = await readFigures(url, signal)
    if (!figures.isTraefik) throw failed(`${shown(url)} does not answer with Traefik's metrics`)
    // A process that answers has done something since; a cache in between has not.
    if (figures.pulse !== undefined && figures.pulse === pulse) throw failed(`${shown(url)} answers what it had before`)
    pulse = figures.pulse
    if (figures.requests.size === 0 && entryPoints.some((name) => figures.answered.has(name))) {
      throw failed('Traefik counts no requests by service; let metrics.prometheus.addServicesLabels be true')
    }
    return services().map((backend) => {
      const current = figures.open.get(`${backend}@file`)
      const total = figures.requests.get(`${backend}@file`) ?? 0
      return { backend, total, counting: figures.startedAt, ...(current !== undefined && { current }) }
    })
  }
}

interface Figures {
  readonly requests: Map<string, number>
  readonly open: Map<string, number>
  /** Entry points of which some request was answered with success, which none but a service does. */
  readonly answered: Set<string>
  isTraefik: boolean
  /** When the process started, as it says. */
  startedAt: string
  /** Something that goes up with everything that the process does. */
  pulse: number | undefined
}

async function readFigures(url: string, signal: AbortSignal): Promise<Figures> {
  const figures: Figures = {
    ...{ requests: new Map(), open: new Map(), answered: new Set(), isTraefik: false, startedAt: '', pulse: undefined },
  }
  const reader = createSampleReader(usesOf(figures))
  try {
    await withDeadline({ timeoutMs: TIMEOUT_MS, what: 'the answer' }, signal, async (until) => {
      for await (const piece of textOf(url, until)) reader.push(piece)
    })
    reader.end()
  } catch (error) {
    signal.throwIfAborted()
    throw failed(`${shown(url)} cannot be read: ${messageOf(error)}`, error)
  }
  return figures
}

const usesOf = (figures: Figures): ReadonlyMap<string, (sample: Sample) => void> =>
  new Map<string, (sample: Sample) => void>([
    ['traefik_service_requests_total', (sample) => add(figures.requests, sample)],
    ['traefik_service_open_connections', (sample) => add(figures.open, sample)],
    [
      'traefik_entrypoint_requests_total',
      ({ labels, value }) => {
        if (value > 0 && /^2\d\d$/.test(labels.get('code') ?? '')) figures.answered.add(labels.get('entrypoint') ?? '')
      },
    ],
    [
      'traefik_config_reloads_total',
      () => {
        figures.isTraefik = true
      },
    ],
    [
      'process_start_time_seconds',
      ({ value }) => {
        figures.startedAt = String(value)
      },
    ],
    [
      'go_memstats_alloc_bytes_total',
      ({ value }) => {
        figures.pulse = value
      },
    ],
  ])

/** One series for each code, method and protocol: together. */
function add(sums: Map<string, number>, { labels, value }: Sample): void {
  const service = labels.get('service')
  // A count that is none must not hide the others.
  if (service?.endsWith('@file') && Number.isFinite(value)) sums.set(service, (sums.get(service) ?? 0) + value)
}

const TIMEOUT_MS = 5000
const MAX_BYTES = 256 << 20

async function* textOf(url: string, signal: AbortSignal): AsyncGenerator<string> {
  const base = new URL(url)
  const headers = { accept: 'text/plain;version=0.0.4', ...authorization(base) }
  const { statusCode, body } = await request(`${base.origin}${base.pathname}${base.search}`, { headers, signal })
  if (statusCode !== 200) {
    body.on('error', () => undefined).destroy()
    throw new Error(`it answers ${statusCode}`)
  }
  const decoder = new TextDecoder()
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new Error(`it answers with more than ${MAX_BYTES >> 20} MB`)
    yield decoder.decode(chunk, { stream: true })
  }
}

/** Without user and password. */
const shown = (url: string): string => `${new URL(url).origin}${new URL(url).pathname}`

const failed = (reason: string, cause?: unknown) =>
  new HostlerError(
    'TRAEFIK_METRICS',
    `the traffic of Traefik is not known, so nothing behind it is put to sleep: ${reason}. Switch on its Prometheus metrics, and set HOSTLER_TRAEFIK_METRICS to their URL`,
    { cause },
  )
