import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { API_VERSIONS, type ApiVersion, answerTo, type Reply, refuse } from './rancher-api/answers.js'
import { createWorld, type Service, type World } from './rancher-api/world.js'

export type { ApiVersion } from './rancher-api/answers.js'
export { type Endpoint, type LaunchConfig, RANCHER_IMAGE, type Service } from './rancher-api/world.js'

/**
 * - `down`: every connection is dropped; `slow`: the answer never comes; `cut`: the connection breaks within the body.
 * - `garbage`: a page of HTML with status 200; `409`, `500`, `503`: such an error; `endless`: a body without end.
 * - `loop`: the next page of a list is the first again; `foreign`: it is said to be on another host, below
 *   another path; `unmarked`: it is called something that is no page.
 */
export type RancherFault =
  | 'down'
  | 'slow'
  | 'cut'
  | 'garbage'
  | '409'
  | '500'
  | '503'
  | 'endless'
  | 'loop'
  | 'foreign'
  | 'unmarked'

export interface ServiceFacts extends Partial<Omit<Service, 'id' | 'projectId' | 'stackId'>> {
  readonly name: string
  /** Default: `app`. */
  readonly stack?: string
  /** Default: `Default`. */
  readonly project?: string
  readonly labels?: Record<string, unknown>
}

export interface RancherApi {
  /** As `rancher.url` takes it. */
  url(version?: ApiVersion): string
  readonly accessKey: string
  readonly secretKey: string
  readonly world: World
  /** An active service that runs nothing, with an endpoint of its own unless it is told otherwise. */
  add(facts: ServiceFacts): Service
  /** Makes exactly these services be there, by name; one that is there already is not touched. */
  put(facts: readonly ServiceFacts[]): void
  /** So many entries a page at most, whatever `limit` asks for. */
  pageLimit: number
  /** From now on answers are faulty, all of them or those whose method, path and query match; undefined mends. */
  fault(kind: RancherFault | undefined, path?: RegExp): void
  /** Does something once, just before the answer to the next request that matches, as others do behind a caller's back. */
  before(path: RegExp, work: () => void): void
  /** `METHOD PATH?QUERY` of every request so far, oldest first. */
  readonly requests: readonly string[]
  close(): Promise<void>
}

const ACCESS_KEY = '5B2C0EXAMPLEKEY01'
const SECRET_KEY = 'aV3ry/Secret+Key=for:Tests'

/** Rancher 1.x's API on a free port of 127.0.0.1, with one project called `Default`. */
export async function startRancherApi(): Promise<RancherApi> {
  const world = createWorld()
  const requests: string[] = []
  let broken: { kind: RancherFault; path: RegExp } | undefined
  const pending: { path: RegExp; work: () => void }[] = []
  world.project('Default')

  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = 'GET', url = '/' } = request
    requests.push(`${method} ${url}`)
    const fault = broken?.path.test(`${method} ${url}`) ? broken.kind : undefined
    if (fault && sendFault(fault, response)) return
    const body = await readBody(request)
    const next = pending.findIndex(({ path }) => path.test(`${method} ${url}`))
    if (next >= 0) pending.splice(next, 1)[0]?.work()
    const origin = `http://${request.headers.host}`
    const reply = isKnown(request.headers.authorization)
      ? answerTo({ world, method, url: new URL(url, origin), body, pageLimit: api.pageLimit })
      : refuse(401, 'Unauthorized')
    send(response, fault ? misled(reply, fault, new URL(url, origin)) : reply)
  }
  const listener = await listen(respond)

  const api: RancherApi = {
    url: (version = 'v2-beta') => `http://${listener.host}/${version}`,
    accessKey: ACCESS_KEY,
    secretKey: SECRET_KEY,
    world,
    add({ name, stack = 'app', project = 'Default', labels = {}, launchConfig, ...more }) {
      const home = world.stack(stack, world.project(project).id)
      const publicEndpoints = [{ ipAddress: '10.0.0.7', port: 8080 }]
      const config = { imageUuid: 'docker:nginx:1', ports: ['8080:80/tcp'], labels, ...launchConfig }
      const facts = { state: 'active', healthState: 'healthy', publicEndpoints, ...more }
      return world.service(name, home, { ...facts, launchConfig: launchConfig === null ? null : config })
    },
    put(facts) {
      const known = [...world.services.values()]
      const names = new Set(facts.map(({ name }) => name))
      for (const { id, name } of known) if (!names.has(name)) world.services.delete(id)
      for (const one of facts) if (!known.some(({ name }) => name === one.name)) api.add(one)
    },
    pageLimit: 2,
    fault(kind, path = /./) {
      broken = kind === undefined ? undefined : { kind, path }
      if (kind === 'down') listener.dropAll()
    },
    before: (path, work) => void pending.push({ path, work }),
    requests,
    async close() {
      await listener.close()
      await world.close()
    },
  }
  return api
}

const isKnown = (authorization = ''): boolean =>
  authorization === `Basic ${Buffer.from(`${ACCESS_KEY}:${SECRET_KEY}`).toString('base64')}`

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text === '' ? undefined : (JSON.parse(text) as unknown)
}

function send(response: ServerResponse, { status, body }: Reply): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'x-api-schemas': '/schemas' })
  response.end(body === undefined ? '' : JSON.stringify(body))
}

/** A list whose next page leads astray. */
function misled(reply: Reply, fault: RancherFault, url: URL): Reply {
  const { pagination, ...body } = reply.body as { pagination?: { next: string | null } }
  const next = new URL(fault === 'loop' ? url : (pagination?.next ?? url))
  if (fault === 'loop') next.searchParams.set('marker', 'm0')
  else Object.assign(next, { host: '192.0.2.1:8080', pathname: `/rancher${next.pathname}` })
  const isLast = fault === 'foreign' && !pagination?.next
  const href = fault === 'unmarked' ? 'nowhere' : next.href
  return { ...reply, body: { ...body, pagination: { next: isLast ? null : href, limit: 2, partial: !isLast } } }
}

/** @returns whether that was the answer */
function sendFault(kind: RancherFault, response: ServerResponse): boolean {
  const half = '{"type":"collection","data":[{"id":"1s1","na'
  if (['loop', 'foreign', 'unmarked'].includes(kind)) return false
  if (kind === 'down') response.destroy()
  if (kind === 'garbage') response.end('<html><body>It works!</body></html>')
  if (kind === '409') send(response, refuse(409, 'Conflict'))
  if (kind === '500') send(response, refuse(500, 'ServerError'))
  if (kind === '503') response.writeHead(503, { 'content-type': 'text/html' }).end('<h1>no server\r\nis there</h1>')
  if (kind === 'cut') response.writeHead(200, { 'content-length': '1000' }).write(half, () => void response.destroy())
  if (kind === 'endless') writeForever(response)
  return true
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

async function listen(respond: (request: IncomingMessage, response: ServerResponse) => Promise<void>) {
  const sockets = new Set<Socket>()
  const http = createServer((request, response) => {
    respond(request, response).catch(() => response.destroy())
  }).on('connection', (socket) => {
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

export { API_VERSIONS }
