import type { ConfigImage, Running, Step } from '../../../../src/proxies/haproxy/runtime/types.js'

/** The files of a HAProxy that knows no more than plain sections with plain lines. */
export interface ModelFiles {
  readonly configs: readonly string[]
  readonly maps: readonly string[]
  readonly lists: readonly string[]
  readonly certificates: readonly string[]
}

export interface ModelServer {
  address: string
  port: number
  weight: number
  maintenance: boolean
  drain: boolean
  /** Without its weight. */
  options: string
}

export interface ModelRequest {
  readonly host: string
  readonly path: string
  readonly cookie?: string | undefined
}

/**
 * A HAProxy in memory: loads files as the packaged templates write them, executes steps and refuses what the real one
 * refuses, and tells which servers a request would reach.
 */
export class ModelHaproxy {
  backends = new Map<string, { lines: string[]; servers: Map<string, ModelServer> }>()
  maps = new Map<string, Map<string, string>>()
  lists = new Map<string, string[]>()
  pems = new Map<string, string>()
  /** What the configuration says besides servers. */
  frame = ''
  cookieNames: string[] = []
  others = ''

  constructor(
    readonly files: ModelFiles,
    readonly version: { major: number; minor: number },
  ) {}

  load(image: ConfigImage): this {
    const text = this.files.configs.map((path) => image.get(path) ?? '').join('\n')
    this.backends = new Map()
    this.frame = ''
    let current: { lines: string[]; servers: Map<string, ModelServer> } | undefined
    for (const raw of text.split('\n')) {
      const line = raw.trim()
      if (line === '' || line.startsWith('#')) continue
      const [word = '', name = ''] = line.split(' ')
      if (['global', 'defaults', 'frontend', 'listen', 'backend'].includes(word)) current = undefined
      if (word === 'backend') {
        current = { lines: [], servers: new Map() }
        this.backends.set(name, current)
      } else if (current && word === 'server') current.servers.set(name, serverOf(line.split(' ').slice(2)))
      else if (current) current.lines.push(line)
      else this.frame += `${line}\n`
    }
    this.cookieNames = [...new Set([...text.matchAll(/req\.cook\(([^)]+)\)/g)].map(([, name]) => name!))]
    const known = this.files.maps.filter((path) => text.includes(path))
    this.maps = new Map(known.map((path) => [path, entriesOf(image.get(path) ?? '')]))
    this.lists = new Map(this.files.lists.map((path) => [path, linesOf(image.get(path) ?? '')]))
    const listed = new Set([...this.lists.values()].flat().map((line) => line.split(' ')[0]!))
    this.pems = new Map([...listed].map((path) => [path, image.get(path) ?? '']))
    const roles = new Set([...this.files.configs, ...this.files.maps, ...this.files.lists, ...this.files.certificates])
    this.others = JSON.stringify([...image].filter(([path]) => !roles.has(path)))
    return this
  }

  running(): Running {
    return {
      version: this.version,
      pid: 1,
      backends: new Set(this.backends.keys()),
      servers: new Map([...this.backends].map(([name, { servers }]) => [name, structuredClone(servers)])),
      maps: structuredClone(this.maps),
    }
  }

  execute(step: Step): void {
    switch (step.kind) {
      case 'add-server': {
        const { lines, servers } = this.backend(step.backend)
        if (servers.has(step.server)) throw new Error(`already exists: ${step.backend}/${step.server}`)
        if (step.options.includes('cookie') && this.version.major < 3) throw new Error('cookie is not supported')
        if (lines.some((line) => line.startsWith('default-server'))) throw new Error('ignores default-server')
        servers.set(step.server, serverOf([`${step.address}:${step.port}`, ...step.options]))
        return
      }
      case 'set-address':
        Object.assign(this.server(step), { address: step.address, port: step.port })
        return
      case 'set-weight':
        this.server(step).weight = step.weight
        return
      case 'set-ready':
        Object.assign(this.server(step), { maintenance: false, drain: false })
        return
      case 'remove-server':
        this.server(step)
        this.backend(step.backend).servers.delete(step.server)
        return
      case 'add-backend':
        if (this.version.major === 2 || this.backends.has(step.backend)) throw new Error(`cannot add ${step.backend}`)
        this.backends.set(step.backend, { lines: ['mode http'], servers: new Map() })
        return
      case 'remove-backend':
        if (this.backend(step.backend).servers.size > 0) throw new Error(`${step.backend} still has servers`)
        this.backends.delete(step.backend)
        return
      case 'add-map-entry':
        if (this.map(step.map).has(step.key)) throw new Error(`${step.key} would be twice in ${step.map}`)
        this.map(step.map).set(step.key, step.value)
        return
      case 'set-map-entry':
        if (!this.map(step.map).has(step.key)) throw new Error(`no ${step.key} in ${step.map}`)
        this.map(step.map).set(step.key, step.value)
        return
      case 'remove-map-entry':
        if (!this.map(step.map).delete(step.key)) throw new Error(`no ${step.key} in ${step.map}`)
        return
      case 'replace-map':
        this.map(step.map)
        this.maps.set(step.map, new Map(step.entries))
        return
      case 'set-certificate':
        if (!this.pems.has(step.path)) throw new Error(`no certificate ${step.path}`)
        this.pems.set(step.path, step.pem)
        return
      case 'add-certificate':
        this.lists.get(step.list)!.push(...step.lines.map((filters) => [step.path, ...filters].join(' ')))
        this.pems.set(step.path, step.pem)
        return
      case 'remove-certificate':
        this.lists.set(
          step.list,
          this.lists.get(step.list)!.filter((line) => line.split(' ')[0] !== step.path),
        )
        this.pems.delete(step.path)
        return
    }
  }

  /** What a request meets: the servers that take it, or that there is no backend for it. */
  answer({ host, path, cookie }: ModelRequest): { backend: string | undefined; servers: Map<string, ModelServer> } {
    const backend = this.lookUp(host, path, cookie)
    const servers = backend === undefined ? undefined : this.backends.get(backend)?.servers
    const ready = [...(servers ?? [])].filter(([, { maintenance, drain }]) => !maintenance && !drain)
    return { backend, servers: new Map(ready.sort(([a], [b]) => (a < b ? -1 : 1))) }
  }

  private lookUp(host: string, path: string, cookie: string | undefined): string | undefined {
    for (const name of [host, host.replace(/^[^.]+/, '*')]) {
      const url = `${name}${path}/`
      const asked = this.cookieNames.includes(cookie?.split('=')[0] ?? '')
      const found =
        (asked ? longest(this.maps.get('/h/cookie.map'), `${cookie}|${url}`) : undefined) ??
        longest(this.maps.get('/h/path.map'), url) ??
        this.maps.get('/h/domain.map')?.get(name)
      if (found !== undefined) return found
    }
    return undefined
  }

  private backend(name: string) {
    const backend = this.backends.get(name)
    if (!backend) throw new Error(`No such backend ${name}`)
    return backend
  }

  private server({ backend, server }: { backend: string; server: string }): ModelServer {
    const found = this.backend(backend).servers.get(server)
    if (!found) throw new Error(`No such server ${backend}/${server}`)
    return found
  }

  private map(path: string): Map<string, string> {
    const map = this.maps.get(path)
    if (!map) throw new Error(`Unknown map ${path}`)
    return map
  }
}

function serverOf([where = '', ...words]: readonly string[]): ModelServer {
  const at = words.indexOf('weight')
  const weight = at === -1 ? 1 : Number(words[at + 1])
  const options = at === -1 ? words : [...words.slice(0, at), ...words.slice(at + 2)]
  const [, address = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(where) ?? []
  return { address, port: Number(port), weight, maintenance: false, drain: false, options: options.join(' ') }
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))

function entriesOf(text: string): Map<string, string> {
  const entries = new Map<string, string>()
  for (const [key = '', value = ''] of linesOf(text).map((line) => line.split(' '))) {
    if (!entries.has(key)) entries.set(key, value)
  }
  return entries
}

function longest(map: ReadonlyMap<string, string> | undefined, text: string): string | undefined {
  const keys = [...(map?.keys() ?? [])].filter((key) => text.startsWith(key))
  const best = keys.sort((a, b) => b.length - a.length)[0]
  return best === undefined ? undefined : map?.get(best)
}
