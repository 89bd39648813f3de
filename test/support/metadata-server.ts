import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import {
  type Answer,
  type AnswerMap,
  inVersion,
  isMetadataVersion,
  lookUp,
  METADATA_VERSIONS,
  metadataTree,
  toText,
} from './metadata-answers.js'

export { type AnswerMap, type ContainerFacts, metadataContainer, metadataTree } from './metadata-answers.js'

/**
 * - `down`: every connection is dropped, also the ones that wait.
 * - `slow`: the head of the answer never comes; `stalled`: the head comes and half of the body.
 * - `truncated`: the connection breaks within the body; `partial`: half of the JSON in a complete reply.
 * - `garbage`: a page of HTML with status 200; `endless`: a body without end; `500`: a server error.
 */
export type MetadataFault = 'down' | 'slow' | 'stalled' | 'truncated' | 'partial' | 'garbage' | 'endless' | '500'

export interface MetadataServer {
  /** `127.0.0.1:PORT`, as RANCHER_API_HOST takes it. */
  readonly host: string
  /** What is served, in the form that has objects everywhere; each version gives it in its own shape. */
  readonly tree: AnswerMap
  /** Replaces the tree and moves the version on; callers that wait are answered at once. */
  set(tree: AnswerMap): void
  /** `self` of each caller by address. Change it through `setSelf` to move the version on. */
  readonly self: ReadonlyMap<string, AnswerMap>
  setSelf(self: AnswerMap | undefined, callerAddress?: string): void
  /** Moves the version on though nothing changed, as Rancher does. */
  reload(): void
  /** `missing`: `version` is not there; `ignored`: `wait` is not heeded. */
  longPoll: 'works' | 'missing' | 'ignored'
  /** From now on answers are faulty, all of them or those whose path and query match; undefined mends. */
  fault(kind: MetadataFault | undefined, path?: RegExp): void
  /** Every request so far, oldest first. */
  readonly requests: readonly { readonly url: string; readonly accept: string }[]
  /** How many callers wait for a new version now. */
  readonly waiting: number
  close(): Promise<void>
}

const DIGEST = 'aff454dabf2760385d247a5955488ff375b8230edefe079d3748ab44426edd9f'

/** A Rancher metadata service on a free port of 127.0.0.1; an empty one unless it gets a tree. */
export async function startMetadataServer(
  options: { tree?: AnswerMap; self?: AnswerMap } = {},
): Promise<MetadataServer> {
  const self = new Map<string, AnswerMap>(options.self ? [['127.0.0.1', options.self]] : [])
  const requests: { url: string; accept: string }[] = []
  const sockets = new Set<Socket>()
  const waiting = new Set<() => void>()
  let tree = options.tree ?? metadataTree([])
  let generation = 20
  let broken: { kind: MetadataFault; path: RegExp } | undefined

  const version = () => `${generation}-${DIGEST}`
  const reload = () => {
    generation++
    for (const answer of [...waiting]) answer()
  }

  const http = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://metadata')
    requests.push({ url: request.url ?? '', accept: request.headers.accept ?? '' })
    if (broken?.path.test(request.url ?? '')) return sendFault(broken.kind, response)
    const path = url.pathname.split('/').filter(Boolean).map(decodeURIComponent)
    if (path.length === 2 && path[1] === 'version' && url.searchParams.get('wait') === 'true') {
      return waitForVersion(request, response, path, url.searchParams)
    }
    send(request, response, answerTo(request, path))
  })

  function answerTo(request: IncomingMessage, path: string[]): Answer | undefined {
    const [wanted, ...rest] = path
    if (wanted === undefined) return METADATA_VERSIONS.map((name) => ({ name }))
    if (!isMetadataVersion(wanted)) return undefined
    if (server.longPoll === 'missing' && rest[0] === 'version') return undefined
    const mine = self.get(request.socket.remoteAddress ?? '')
    const answers = { ...tree, version: version(), ...(mine ? { self: mine } : {}) }
    return lookUp(inVersion(answers, wanted), rest)
  }

  function waitForVersion(
    request: IncomingMessage,
    response: ServerResponse,
    path: string[],
    query: URLSearchParams,
  ): void {
    const differs = query.get('value') !== version()
    if (differs || server.longPoll !== 'works') {
      send(request, response, answerTo(request, path))
      return
    }
    const answer = () => {
      clearTimeout(timer)
      waiting.delete(answer)
      if (!response.destroyed) send(request, response, answerTo(request, path))
    }
    const maxWaitS = Math.min(Number(query.get('maxWait') ?? 60) || 60, 120)
    const timer = setTimeout(answer, maxWaitS * 1000)
    waiting.add(answer)
    response.once('close', () => {
      clearTimeout(timer)
      waiting.delete(answer)
    })
  }

  const server: MetadataServer = {
    host: '',
    get tree() {
      return tree
    },
    set(next) {
      tree = next
      reload()
    },
    self,
    setSelf(next, callerAddress = '127.0.0.1') {
      if (next) self.set(callerAddress, next)
      else self.delete(callerAddress)
      reload()
    },
    reload,
    longPoll: 'works',
    fault(kind, path = /./) {
      broken = kind === undefined ? undefined : { kind, path }
      if (kind === 'down') for (const socket of sockets) socket.destroy()
    },
    requests,
    get waiting() {
      return waiting.size
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => http.close(resolve))
    },
  }

  http.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => http.once('error', reject).listen(0, '127.0.0.1', resolve))
  return Object.defineProperty(server, 'host', { value: `127.0.0.1:${(http.address() as AddressInfo).port}` })
}

/** JSON for those who ask for it, though the reply says text/plain all the same. */
function send(request: IncomingMessage, response: ServerResponse, answer: Answer | undefined): void {
  const asJson = (request.headers.accept ?? '').includes('application/json')
  const found = answer !== undefined
  response.writeHead(found ? 200 : 404, { 'content-type': 'text/plain; charset=utf-8' })
  if (asJson) response.end(JSON.stringify(found ? answer : { code: 404, message: 'Not found', type: 'error' }))
  else response.end(found ? toText(answer) : 'Not found')
}

function sendFault(kind: MetadataFault, response: ServerResponse): void {
  const half = '[{"name":"Default_alena_1","uuid":"57ad'
  if (kind === 'down') response.destroy()
  if (kind === '500') response.writeHead(500, { 'content-type': 'text/plain' }).end('internal error')
  if (kind === 'garbage') response.end('<html><body>It works!</body></html>')
  if (kind === 'partial') response.end(half)
  if (kind === 'stalled') response.writeHead(200, { 'content-length': '1000' }).write(half)
  if (kind === 'truncated') {
    response.writeHead(200, { 'content-length': '1000' }).write(half, () => void response.destroy())
  }
  if (kind === 'endless') writeForever(response)
}

function writeForever(response: ServerResponse): void {
  const chunk = Buffer.alloc(1024 * 1024, ' ')
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  }
  response.on('drain', more).on('error', () => undefined)
  response.writeHead(200)
  more()
}
