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
  const waiters = createWaiters()
  const requests: { url: string; accept: string }[] = []
  let tree = options.tree ?? metadataTree([])
  let generation = 20
  let broken: { kind: MetadataFault; path: RegExp } | undefined

  const answers = (caller = ''): AnswerMap => {
    const mine = self.get(caller)
    return { ...tree, version: `${generation}-${DIGEST}`, ...(mine ? { self: mine } : {}) }
  }
  const respond = (request: IncomingMessage, response: ServerResponse) => {
    requests.push({ url: request.url ?? '', accept: request.headers.accept ?? '' })
    if (broken?.path.test(request.url ?? '')) return sendFault(broken.kind, response)
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://metadata')
    const path = pathname.split('/').filter(Boolean).map(decodeURIComponent)
    const missing = path[1] === 'version' && server.longPoll === 'missing'
    const answer = () =>
      send(request, response, missing ? undefined : find(answers(request.socket.remoteAddress), path))
    const waits = path[1] === 'version' && searchParams.get('wait') === 'true' && server.longPoll === 'works'
    if (waits && searchParams.get('value') === answers()['version']) waiters.add(response, searchParams, answer)
    else answer()
  }
  const listener = await listen(respond)

  const server: MetadataServer = {
    host: listener.host,
    get tree() {
      return tree
    },
    set(next) {
      tree = next
      server.reload()
    },
    self,
    setSelf(next, callerAddress = '127.0.0.1') {
      if (next) self.set(callerAddress, next)
      else self.delete(callerAddress)
      server.reload()
    },
    reload() {
      generation++
      waiters.answerAll()
    },
    longPoll: 'works',
    fault(kind, path = /./) {
      broken = kind === undefined ? undefined : { kind, path }
      if (kind === 'down') listener.dropAll()
    },
    requests,
    get waiting() {
      return waiters.count()
    },
    close: listener.close,
  }
  return server
}

function find(answers: AnswerMap, [version, ...path]: readonly string[]): Answer | undefined {
  if (version === undefined) return METADATA_VERSIONS.map((name) => ({ name }))
  return isMetadataVersion(version) ? lookUp(inVersion(answers, version), path) : undefined
}

async function listen(respond: (request: IncomingMessage, response: ServerResponse) => void) {
  const sockets = new Set<Socket>()
  const http = createServer(respond).on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => http.once('error', reject).listen(0, '127.0.0.1', resolve))
  const dropAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  const close = async () => {
    dropAll()
    await new Promise((resolve) => http.close(resolve))
  }
  return { host: `127.0.0.1:${(http.address() as AddressInfo).port}`, dropAll, close }
}

/** Those who wait for a new version, each until its time is up or it hangs up. */
function createWaiters() {
  const waiting = new Set<() => void>()
  return {
    count: () => waiting.size,
    answerAll() {
      for (const answer of [...waiting]) answer()
    },
    add(response: ServerResponse, query: URLSearchParams, answer: () => void) {
      const leave = () => {
        clearTimeout(timer)
        waiting.delete(answerOnce)
      }
      const answerOnce = () => {
        leave()
        if (!response.destroyed) answer()
      }
      const maxWaitS = Math.min(Number(query.get('maxWait') ?? 60) || 60, 120)
      const timer = setTimeout(answerOnce, maxWaitS * 1000)
      waiting.add(answerOnce)
      response.once('close', leave)
    },
  }
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
