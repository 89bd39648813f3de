import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { parse } from 'yaml'

type Item = Record<string, unknown>
type Section = 'routers' | 'services' | 'middlewares'

/**
 * Answers as the API of Traefik v3 does (`pkg/api`): items by `NAME@file`, lists by pages with X-Next-Page, JSON with a
 * `message` for what is not there. Reads `hostler.yml` where told to.
 */
export interface TraefikDouble {
  readonly url: string
  /** Paths that were asked for. */
  readonly asked: string[]
  /** Reads the file at the n-th question from now (1 is the next); Infinity: never. */
  loadAfter(questions: number): void
  /** What to answer instead of anything else. */
  insteadOf: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  /** Changes an item as Traefik would: `{ status: 'disabled', error: ['…'] }`. */
  overlay(section: Section, name: string, item: Item): void
  pageSize: number
  stop(): Promise<void>
}

export async function startTraefikDouble(dir: string): Promise<TraefikDouble> {
  const loaded: Record<Section, Map<string, Item>> = { routers: new Map(), services: new Map(), middlewares: new Map() }
  const overlays = new Map<string, Item>()
  const asked: string[] = []
  let questionsLeft = 1

  function load(): void {
    const { http } = parse(readFileSync(join(dir, 'hostler.yml'), 'utf8')) as { http: Partial<Record<Section, object>> }
    for (const section of ['routers', 'services', 'middlewares'] as const) {
      loaded[section] = new Map(
        Object.entries(http[section] ?? {}).map(([name, item]) => [
          name,
          { ...item, status: 'enabled', provider: 'file', name: `${name}@file`, ...overlays.get(`${section}/${name}`) },
        ]),
      )
    }
  }

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://traefik')
    const [, section, name] =
      /^\/base\/api\/http\/(routers|services|middlewares)(?:\/(.+)@file)?$/.exec(url.pathname) ?? []
    if (section === undefined) {
      response.writeHead(404).end('404 page not found\n')
      return
    }
    const items = loaded[section as Section]
    const item = items.get(decodeURIComponent(name ?? ''))
    if (name === undefined) list([...items.values()], url, response)
    else reply(response, item ? 200 : 404, item ?? { message: `${section} not found: ${name}@file` })
  }

  function list(items: Item[], url: URL, response: ServerResponse): void {
    const page = Number(url.searchParams.get('page') ?? 1)
    const size = Math.min(Number(url.searchParams.get('per_page') ?? 100), double.pageSize)
    response.setHeader('X-Next-Page', page * size < items.length ? page + 1 : 1)
    const foreign = { name: 'api@internal', status: 'disabled', error: ['not ours'] }
    reply(response, 200, [foreign, ...items.slice((page - 1) * size, page * size)])
  }

  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (double.insteadOf === undefined && --questionsLeft === 0) load()
    const handle = double.insteadOf ?? answer
    handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const double: TraefikDouble = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base`,
    asked,
    pageSize: 1000,
    insteadOf: undefined,
    loadAfter(questions) {
      questionsLeft = questions
    },
    overlay: (section, name, item) => void overlays.set(`${section}/${name}`, item),
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return double
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}
