import { Agent, request } from 'undici'
import type { Listen } from '../config/values.js'
import { codeOf, HostlerError, messageOf } from '../lib/errors.js'
import { maskCredentials } from '../lib/mask.js'
import { printable } from '../lib/printable.js'
import type { StatePreview } from '../reconcile/preview.js'
import type { State } from '../reconcile/state.js'

/** Ten thousand stacks take about 5 MB; whatever is larger is not our answer. */
const MAX_BYTES = 128 * 1024 * 1024

/**
 * Asks a running Hostler for its state. `target` is the private address that it listens on, or a URL.
 * @throws HostlerError `UNREACHABLE` when nothing answers there, or something that is not Hostler.
 */
export const fetchState = (target: Listen | string, { timeoutMs = 5_000 } = {}): Promise<State> =>
  fetchJson(target, { path: '/api/state', isFit: isState, timeoutMs })

/** The same for what comes next; it may take as long as a reload that is under way. */
export const fetchPreview = (target: Listen | string, { timeoutMs = 25_000 } = {}): Promise<StatePreview> =>
  fetchJson(target, { path: '/api/plan', isFit: isPreview, timeoutMs })

/**
 * Asks a running Hostler to do something.
 * @throws HostlerError `UNREACHABLE`; `REFUSED` with its words when it will not
 */
export function postJson<T>(target: Listen | string, { token, ...wanted }: Wanted<T> & { token: string }): Promise<T> {
  return fetchJson(target, { ...wanted, method: 'POST', headers: { authorization: `Bearer ${token}` } })
}

interface Wanted<T> {
  readonly path: string
  readonly isFit: (answer: unknown) => answer is T
  readonly timeoutMs: number
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
}

async function fetchJson<T>(
  target: Listen | string,
  { path, isFit, timeoutMs, method = 'GET', headers = {} }: Wanted<T>,
): Promise<T> {
  const base = (typeof target === 'string' ? target : urlOf(target)).replace(/\/+$/, '')
  const dispatcher = new Agent({ connect: { timeout: timeoutMs }, maxResponseSize: MAX_BYTES })
  try {
    const signal = AbortSignal.timeout(timeoutMs)
    const { statusCode, body } = await request(`${base}${path}`, {
      dispatcher,
      signal,
      method,
      headers,
      headersTimeout: 0,
    })
    const answer = parsed(await body.text())
    if (method === 'POST' && statusCode !== 200)
      throw new HostlerError('REFUSED', detailOf(answer).replace(/^: /, '') || `it answered ${statusCode}`)
    if (statusCode !== 200) throw new Error(`it answered ${statusCode}${detailOf(answer)}`)
    if (!isFit(answer)) throw new Error('what answers there is not Hostler')
    return answer
  } catch (error) {
    if (error instanceof HostlerError) throw error
    throw unreachable(maskCredentials(base), error, timeoutMs)
  } finally {
    await dispatcher.destroy()
  }
}

/** An address to listen on as one to call: every address includes this machine's own. */
export function urlOf({ host, port }: Listen): string {
  if (host === '0.0.0.0') return `http://127.0.0.1:${port}`
  if (host === '::') return `http://[::1]:${port}`
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Undefined for what is not JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What a refusal says of itself, where that is a problem (RFC 9457). */
function detailOf(answer: unknown): string {
  const { detail } = fields(answer)
  return typeof detail === 'string' ? `: ${printable(detail, 200)}` : ''
}

function isState(value: unknown): value is State {
  const { version, startedAt, domain, problems, sources, proxies, plan } = fields(value)
  const { backends, routes, rejections, warnings } = fields(plan)
  return (
    [version, domain].every((text) => typeof text === 'string') &&
    typeof startedAt === 'number' &&
    [problems, sources, proxies, backends, routes, rejections, warnings].every(Array.isArray)
  )
}

function isPreview(value: unknown): value is StatePreview {
  const { version, domain, problems, proxies } = fields(value)
  return [version, domain].every((text) => typeof text === 'string') && [problems, proxies].every(Array.isArray)
}

export const fields = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  UND_ERR_CONNECT_TIMEOUT: 'the host does not answer',
}

function unreachable(url: string, error: unknown, timeoutMs: number): HostlerError {
  const reason =
    fields(error)['name'] === 'TimeoutError'
      ? `no answer within ${timeoutMs} ms`
      : (REASONS[codeOf(error) ?? ''] ?? messageOf(error))
  const remedy = 'Start it with "hostler run", or set private.listen (HOSTLER_PRIVATE_LISTEN) to where it listens.'
  return new HostlerError('UNREACHABLE', `Hostler cannot be reached at ${url}: ${reason}. ${remedy}`, { cause: error })
}
