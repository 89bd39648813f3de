import type { Agent } from 'undici'
import { HostlerError } from '../../lib/errors.js'
import { withAgent } from '../../lib/lent-agent.js'
import { withDeadline } from '../../lib/signals.js'

/** Where the metadata service is, and how much of it is bearable. */
export interface MetadataAddress {
  /** Host or host:port. */
  readonly host: string
  /** `2015-07-25`, `2015-12-19`, `2016-07-29` or `latest`. */
  readonly version: string
  /** How long one answer may take, beyond the time that it was asked to wait. Default 10,000. */
  readonly timeoutMs?: number
  /** How large one answer may be. Default 64 MiB. */
  readonly maxBytes?: number
}

export interface MetadataClient {
  /**
   * The answer at a path below the version; undefined when there is nothing (404). Throws a HostlerError when the
   * service cannot be reached, answers anything but 200 and JSON, or takes more time or space than it may.
   */
  readJson(path: string, signal: AbortSignal): Promise<unknown>
  /** The same for one value, which may come as a JSON string or as it stands; null reads as ''. */
  readWord(path: string, signal: AbortSignal, waitMs?: number): Promise<string | undefined>
}

/** Lends a client with connections of its own, and leaves none of them open. */
export const withMetadataClient = <T>(
  address: MetadataAddress,
  use: (client: MetadataClient) => Promise<T>,
): Promise<T> => withAgent(address, (agent, timeoutMs) => use(createClient(agent, baseUrlOf(address), timeoutMs)))

/** `http://HOST[:PORT]/VERSION`; throws when the settings cannot be one. */
export function baseUrlOf({ host, version }: MetadataAddress): string {
  const base = `http://${host.replace(/^http:\/\//, '').replace(/\/+$/, '')}`
  if (!URL.canParse(base) || new URL(base).pathname !== '/' || /[\s@?#]/.test(host) || host === '') {
    throw new HostlerError(
      'metadata-host',
      `"${host}" is not a metadata host (RANCHER_API_HOST); write host or host:port`,
    )
  }
  if (!/^(?:latest|\d{4}-\d{2}-\d{2})$/.test(version)) {
    const known = '2015-07-25, 2015-12-19, 2016-07-29 or latest'
    throw new HostlerError(
      'metadata-version',
      `"${version}" is not a metadata version (RANCHER_API_VERSION); write ${known}`,
    )
  }
  return `${base}/${version}`
}

function createClient(agent: Agent, base: string, timeoutMs: number): MetadataClient {
  async function read(path: string, signal: AbortSignal, waitMs = 0): Promise<string | undefined> {
    const url = `${base}/${path}`
    try {
      // undici's own limits are per part of an answer; a server that trickles would pass them for ever.
      return await withDeadline({ timeoutMs: timeoutMs + waitMs, what: 'the whole answer' }, signal, (deadline) =>
        request(agent, url, deadline),
      )
    } catch (cause) {
      signal.throwIfAborted()
      if (cause instanceof HostlerError && cause.code !== 'TIMEOUT') throw cause
      throw new HostlerError('metadata-unreachable', `reading ${url} failed; is the metadata service up?`, { cause })
    }
  }

  async function readJson(path: string, signal: AbortSignal): Promise<unknown> {
    const text = await read(path, signal)
    if (text === undefined) return undefined
    try {
      return JSON.parse(text) as unknown
    } catch {
      throw new HostlerError('metadata-syntax', `${base}/${path} answered ${text.length} characters that are not JSON`)
    }
  }

  async function readWord(path: string, signal: AbortSignal, waitMs?: number): Promise<string | undefined> {
    const text = await read(path, signal, waitMs)
    return text === undefined ? undefined : (jsonString(text) ?? text)
  }

  return { readJson, readWord }
}

function jsonString(text: string): string | undefined {
  if (text.trim() === 'null') return ''
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

async function request(agent: Agent, url: string, signal: AbortSignal): Promise<string | undefined> {
  const { origin, pathname, search } = new URL(url)
  const { statusCode, body } = await agent.request({
    origin,
    path: pathname + search,
    method: 'GET',
    headers: { accept: 'application/json' },
    signal,
  })
  const text = await body.text()
  if (statusCode === 404) return undefined
  if (statusCode === 200) return text
  throw new HostlerError('metadata-status', `${url} answered with status ${statusCode}; is that the metadata service?`)
}
