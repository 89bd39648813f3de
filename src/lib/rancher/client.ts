import type { Agent } from 'undici'
import { z } from 'zod'
import { HostlerError } from '../errors.js'
import { withAgent } from '../lent-agent.js'
import { printable } from '../printable.js'
import { withDeadline } from '../signals.js'
import { baseOf, type RancherAddress, type RancherBase } from './address.js'

/**
 * Rancher 1.x's API. What it answers is handed on for the caller to judge where Rancher has understood the request (2xx,
 * 404, 409, 422 and their like). Everything else is a HostlerError with the URL and the status, and never with a key:
 * `rancher-unreachable` (no answer in time, or half of one), `rancher-key` (401, 403), `rancher-status` (5xx and what else
 * no Rancher says), `rancher-missing` (a list that is not there), `rancher-syntax`, `rancher-shape`, `rancher-paging`.
 */
export interface RancherClient {
  readonly base: RancherBase
  call(request: RancherRequest, signal: AbortSignal): Promise<RancherAnswer>
  /** The JSON at a URL; undefined when there is nothing (404). */
  read(url: string, signal: AbortSignal): Promise<unknown>
  /** Every entry of a list, all of its pages. */
  list(url: string, signal: AbortSignal): Promise<RancherList>
}

export interface RancherList {
  readonly entries: readonly unknown[]
  /** Rancher counts entries to find the next page: when one goes meanwhile, another one is passed over. */
  readonly isOnePage: boolean
}

export interface RancherRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: string
  readonly body?: unknown
}

export interface RancherAnswer {
  readonly status: number
  readonly json: unknown
  /** Of what is no success: Rancher's own word for it (`NotUnique`), and the field that it is about. */
  readonly code: string
  readonly field: string
  /** Why, as one printable line. */
  readonly complaint: string
}

/** Lends a client with connections of its own, and leaves none of them open. */
export const withRancherClient = <T>(address: RancherAddress, use: (client: RancherClient) => Promise<T>): Promise<T> =>
  withAgent(address, (agent, timeoutMs) => use(createClient(agent, address, timeoutMs)))

/** Rancher gives 3000 at most, and may give fewer. */
const PAGE_LIMIT = 1000
const MAX_PAGES = 1000

const pageSchema = z.object({
  data: z.array(z.unknown()),
  pagination: z.object({ next: z.string().nullish() }).nullish(),
})

function createClient(agent: Agent, address: RancherAddress, timeoutMs: number): RancherClient {
  const base = baseOf(address)
  const authorization = `Basic ${Buffer.from(`${address.accessKey}:${address.secretKey}`).toString('base64')}`

  async function call(request: RancherRequest, signal: AbortSignal): Promise<RancherAnswer> {
    const { method, url } = request
    const what = `${method} ${shown(url)}`
    const got = await attempt(request, what, signal)
    const json = parsed(got.text)
    if (got.status === 401 || got.status === 403) {
      const remedy = 'see that RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY are those of a key that may do this'
      throw new HostlerError('rancher-key', `${what} answered ${got.status}; ${remedy}`)
    }
    if (got.status >= 500 || got.status < 200 || (got.status >= 300 && got.status < 400)) {
      throw new HostlerError('rancher-status', `${what} answered ${got.status}; is Rancher's API there, and well?`)
    }
    if (json === undefined && got.text.trim() !== '') {
      const answer = `answered ${got.status} and ${got.text.length} characters that are not JSON`
      throw new HostlerError('rancher-syntax', `${what} ${answer}; is Rancher's API there?`)
    }
    return { status: got.status, json, ...complaintOf(json, got.status) }
  }

  async function attempt(request: RancherRequest, what: string, signal: AbortSignal) {
    try {
      // undici's own limits are per part of an answer; a server that trickles would pass them for ever.
      return await withDeadline({ timeoutMs, what: 'the whole answer' }, signal, (deadline) =>
        send(agent, request, authorization, deadline),
      )
    } catch (cause) {
      signal.throwIfAborted()
      throw new HostlerError('rancher-unreachable', `${what} failed; see that Rancher runs there`, { cause })
    }
  }

  async function read(url: string, signal: AbortSignal): Promise<unknown> {
    const { status, json, complaint } = await call({ method: 'GET', url }, signal)
    if (status === 404) return undefined
    if (status < 300) return json
    throw new HostlerError('rancher-status', `GET ${shown(url)} answered ${status}: ${complaint}`)
  }

  async function list(url: string, signal: AbortSignal): Promise<RancherList> {
    const entries: unknown[] = []
    const seen = new Set<string>()
    let next: string | undefined = withLimit(url)
    while (next !== undefined) {
      if (seen.has(next) || seen.size >= MAX_PAGES) {
        throw new HostlerError(
          'rancher-paging',
          `the pages of ${shown(url)} never end: after ${seen.size} comes one again`,
        )
      }
      seen.add(next)
      const page = await readPage(next, signal)
      for (const entry of page.data) entries.push(entry)
      next = page.pagination?.next ? pageAfter(next, page.pagination.next) : undefined
    }
    return { entries, isOnePage: seen.size === 1 }
  }

  async function readPage(url: string, signal: AbortSignal) {
    const answer = await read(url, signal)
    const remedy = 'see that RANCHER_URL leads to Rancher 1.x'
    if (answer === undefined) throw new HostlerError('rancher-missing', `${shown(url)} is not there (404); ${remedy}`)
    const { success, data } = pageSchema.safeParse(answer)
    if (success) return data
    throw new HostlerError('rancher-shape', `${shown(url)} is not a list; ${remedy}`)
  }

  return { base, call, read, list }
}

const withLimit = (url: string): string => `${url}${url.includes('?') ? '&' : '?'}limit=${PAGE_LIMIT}`

/**
 * Of what Rancher calls the next page only the marker is taken. Behind a proxy it names itself by a scheme, host or path at
 * which it cannot be reached from here; and keys go nowhere but where the operator sends them.
 */
function pageAfter(from: string, link: string): string {
  const marker = URL.canParse(link, from) ? new URL(link, from).searchParams.get('marker') : null
  if (marker === null) {
    const where = `the page after ${shown(from)} is said to be at ${shown(link)}`
    throw new HostlerError('rancher-paging', `${where}, which has no marker; see that RANCHER_URL leads to Rancher 1.x`)
  }
  const url = new URL(from)
  url.searchParams.set('marker', marker)
  return url.href
}

async function send(agent: Agent, { method, url, body }: RancherRequest, authorization: string, signal: AbortSignal) {
  const { origin, pathname, search } = new URL(url)
  const answer = await agent.request({
    ...{ origin, path: pathname + search, method, signal },
    headers: {
      accept: 'application/json',
      authorization,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { status: answer.statusCode, text: await answer.body.text() }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

const word = z.string().catch('')
const errorSchema = z.object({ code: word, fieldName: word, message: word, detail: word }).catch({
  ...{ code: '', fieldName: '', message: '', detail: '' },
})

function complaintOf(json: unknown, status: number): Pick<RancherAnswer, 'code' | 'field' | 'complaint'> {
  if (status < 300) return { code: '', field: '', complaint: '' }
  const { code, fieldName, message, detail } = errorSchema.parse(json)
  const words = [...new Set([code, fieldName && `(${fieldName})`, message, detail])].filter((part) => part !== '')
  const [one, two] = [printable(code, 100), printable(fieldName, 100)]
  return { code: one, field: two, complaint: printable(words.join(' '), 300) || String(status) }
}

const shown = (url: string): string => printable(url, 300)
