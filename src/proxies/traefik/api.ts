import { request } from 'undici'
import { messageOf } from '../../lib/errors.js'
import { withDeadline } from '../../lib/signals.js'
import { authorization } from './authorization.js'

/** What Traefik's API says of routers and services; everything else it says is left alone. */
export interface ApiItem {
  readonly name: string
  /** `enabled`, `warning` or `disabled`. */
  readonly status: string
  readonly errors: readonly string[]
  readonly serverUrls: readonly string[]
}

/** `unknown`: Traefik could not be asked, or answered nothing that makes sense. */
export type Answer<T> = { readonly value: T } | { readonly missing: true } | { readonly unknown: string }

export interface TraefikApi {
  /** Whether the file provider has a middleware of this name. */
  hasMiddleware(name: string, signal: AbortSignal): Promise<Answer<true>>
  one(kind: Kind, name: string, signal: AbortSignal): Promise<Answer<ApiItem>>
  /** Every item of the file provider, by name without `@file`. */
  all(kind: Kind, signal: AbortSignal): Promise<Answer<ReadonlyMap<string, ApiItem>>>
}

export type Kind = 'routers' | 'services'

const DEADLINE = { timeoutMs: 2000, what: 'an answer' }
const PAGE_SIZE = 1000
const MAX_PAGES = 200
const MAX_BYTES = 32 << 20

/** @param url base of the API, such as `http://traefik:8080`; user and password in it are sent as basic authentication */
export function createTraefikApi(url: string): TraefikApi {
  const base = new URL(url)
  const headers = authorization(base)
  const root = `${base.origin}${base.pathname.replace(/\/+$/, '')}`

  async function get(path: string, signal: AbortSignal): Promise<Answer<Page>> {
    try {
      return await withDeadline(DEADLINE, signal, (inner) => read(`${root}${path}`, headers, inner))
    } catch (error) {
      signal.throwIfAborted()
      return { unknown: `${root} cannot be reached: ${messageOf(error)}` }
    }
  }

  return {
    async hasMiddleware(name, signal) {
      const answer = await get(`/api/http/middlewares/${encodeURIComponent(name)}@file`, signal)
      return 'value' in answer ? { value: true } : answer
    },

    async one(kind, name, signal) {
      const answer = await get(`/api/http/${kind}/${encodeURIComponent(name)}@file`, signal)
      return 'value' in answer ? { value: itemOf(answer.value.json) } : answer
    },

    async all(kind, signal) {
      const items = new Map<string, ApiItem>()
      for (let page = 1, pages = 0; pages < MAX_PAGES; pages++) {
        const answer = await get(`/api/http/${kind}?per_page=${PAGE_SIZE}&page=${page}`, signal)
        if (!('value' in answer)) return 'unknown' in answer ? answer : { unknown: `${root} lists no ${kind}` }
        for (const item of listOf(answer.value.json)) items.set(item.name, item)
        // After the last page Traefik points back to the first.
        if (answer.value.next <= page) break
        page = answer.value.next
      }
      return { value: items }
    },
  }
}

interface Page {
  readonly json: unknown
  readonly next: number
}

async function read(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Answer<Page>> {
  const { statusCode, headers: answered, body } = await request(url, { headers, signal })
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BYTES) return { unknown: `${url} answers with more than ${MAX_BYTES >> 20} MB` }
    chunks.push(chunk)
  }
  const json = parsed(Buffer.concat(chunks).toString())
  if (json === undefined) return { unknown: `${url} answers ${statusCode} without JSON; is TRAEFIK_URL its API?` }
  // Where the API is off or elsewhere, a 404 is plain text.
  if (statusCode === 404) return { missing: true }
  if (statusCode !== 200) return { unknown: `${url} answers ${statusCode}` }
  return { value: { json, next: Number(answered['x-next-page'] ?? 1) || 1 } }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const listOf = (json: unknown): ApiItem[] =>
  (Array.isArray(json) ? json : []).filter((item) => String(item?.name).endsWith('@file')).map(itemOf)

function itemOf(json: unknown): ApiItem {
  const { name, status, error, loadBalancer } = (json ?? {}) as Record<string, unknown>
  const servers = (loadBalancer as { servers?: unknown } | undefined)?.servers
  return {
    name: String(name).replace(/@file$/, ''),
    status: String(status),
    errors: Array.isArray(error) ? error.map(String) : [],
    serverUrls: Array.isArray(servers) ? servers.map((server) => String(server?.url)) : [],
  }
}
