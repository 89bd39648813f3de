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
 * no Rancher says), `rancher-syntax`, `rancher-shape`, `rancher-paging`.
 */
export interface RancherClient {
  readonly base: RancherBase
  call(request: RancherRequest, signal: AbortSignal): Promise<RancherAnswer>
  /** The JSON at a URL; undefined when there is nothing (404). */
  read(url: string, signal: AbortSignal): Promise<unknown>
  /** Every entry of a list, all of its pages. */
  list(url: string, signal: AbortSignal): Promise<unknown[]>
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

  async function list(url: string, signal: AbortSignal): Promise<unknown[]> {
    const found: unknown[] = []
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
      const answer: unknown = await read(next, signal)
      const { success, data: page } = pageSchema.safeParse(answer)
      if (!success) {
        const problem = answer === undefined ? 'is not there (404)' : 'is not a list'
        throw new HostlerError('rancher-shape', `${shown(next)} ${problem}; see that RANCHER_URL leads to Rancher 1.x`)
      }
      for (const entry of page.data) found.push(entry)
      next = page.pagination?.next ? sameOrigin(page.pagination.next, next) : undefined
    }
    return found
  }

  return { base, call, read, list }
}

const withLimit = (url: string): string => `${url}${url.includes('?') ? '&' : '?'}limit=${PAGE_LIMIT}`

/** A reply is somebody else's text: keys go nowhere but where the operator sends them. */
function sameOrigin(link: string, from: string): string {
  const url = URL.canParse(link, from) ? new URL(link, from) : undefined
  if (url?.origin === new URL(from).origin) return url.href
  const where = `the page after ${shown(from)} is said to be at ${shown(link)}`
  const remedy =
    'set RANCHER_URL to the address that Rancher itself names, or let the proxy before it tell X-Forwarded-Proto'
  throw new HostlerError('rancher-paging', `${where}, which is not followed; ${remedy}`)
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
