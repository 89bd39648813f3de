import { didYouMean } from '../lib/nearest.js'
import { isRestartable } from './dependencies.js'
import { EVERY_HOST, readDirect, traefikPort } from './direct.js'
import type { Instance } from './instance.js'
import {
  type Complaint,
  type HostPattern,
  printable,
  type Read,
  readBoolean,
  readCookie,
  readDuration,
  readHealthCheck,
  readHost,
  readName,
  readPath,
  readPort,
  readServerOptions,
  readStatusRange,
  readWhole,
  readWord,
  type ServerLineOptions,
} from './label-values.js'
import { hostLabel, namesOf, stackIdentity } from './names.js'
import type { HealthCheck, Rejection } from './plan.js'
import type { DirectRules, LabelRules, Lifecycle, RouteWish, Wishes } from './wishes.js'

const ROUTE_LABELS = [
  'port',
  'host',
  'aliases',
  'path',
  'strip-path',
  'cookie',
  'priority',
  'scheme',
  'proxy-protocol',
  'health-check',
  'health-check-status',
  'health-check-interval',
  'health-check-timeout',
  'sticky',
  'weight',
  'maxconn',
] as const
type RouteLabel = (typeof ROUTE_LABELS)[number]

const CONTAINER_LABELS = ['enable', 'stack', 'service', 'network'] as const
const LIFECYCLE_LABELS = ['wake', 'idle', 'max-age', 'on-idle', 'group', 'veto'] as const
const KNOWN: ReadonlySet<string> = new Set<string>([...ROUTE_LABELS, ...CONTAINER_LABELS, ...LIFECYCLE_LABELS])

type Ways = Pick<DirectRules, 'cookieRouting' | 'pathRouting'>

/** Deployed on request, where such containers are routed to by name. */
const isDirect = (labels: Readonly<Record<string, string>>, { cookieRouting, pathRouting }: Ways): boolean =>
  (cookieRouting || pathRouting) && labels['origin'] === 'spawner'

/** Whether a container takes part at all: it has a label of ours (and is not switched off), or the port label. */
export function takesPart(
  labels: Readonly<Record<string, string>>,
  { labelPrefix, portLabel, direct }: Pick<LabelRules, 'labelPrefix' | 'portLabel'> & { readonly direct: Ways },
): boolean {
  const enable = labels[`${labelPrefix}.enable`]?.trim().toLowerCase()
  if (enable !== undefined && ['false', 'no', 'off', '0'].includes(enable)) return false
  if (Object.hasOwn(labels, portLabel) || isDirect(labels, direct)) return true
  const prefix = `${labelPrefix}.`
  return Object.keys(labels).some((label) => label.startsWith(prefix))
}

/** Reads every label of an instance that takes part. Never throws: what cannot be honoured comes back as a rejection. */
export function readWishes(instance: Instance, rules: LabelRules): Wishes {
  return new LabelReader(instance, rules).read()
}

/** Reads one instance's labels, collecting complaints on the way. */
class LabelReader {
  private readonly rejections: Rejection[] = []
  private readonly warnings: Rejection[] = []
  private readonly isDirect: boolean
  private readonly stack: string
  private readonly service: string

  constructor(
    private readonly instance: Instance,
    private readonly rules: LabelRules,
  ) {
    this.isDirect = isDirect(instance.labels, rules.direct)
    const named = namesOf(instance)
    this.stack = this.override('stack') ?? named.stack
    this.service = this.override('service') ?? named.service
  }

  read(): Wishes {
    this.warnOfUnknownLabels()
    const network = this.one(this.label('network'), readName)
    this.one(this.label('enable'), readBoolean)
    const fit = this.rejections.length === 0
    const routes = fit
      ? this.routeNames()
          .map((name) => this.route(name))
          .filter((route) => route !== undefined)
      : []
    const lifecycle = this.lifecycle()
    const { instance, stack, service, rejections, warnings } = this
    return { instance, stack, service, ...(network && { network }), routes, lifecycle, rejections, warnings }
  }

  private label(name: string, route = ''): string {
    return route === '' ? `${this.rules.labelPrefix}.${name}` : `${this.rules.labelPrefix}.routes.${route}.${name}`
  }

  private text(label: string): string | undefined {
    return Object.hasOwn(this.instance.labels, label) ? this.instance.labels[label] : undefined
  }

  private override(name: 'stack' | 'service'): string | undefined {
    return this.one(this.label(name), readName)
  }

  /** Reads a label if it is there; a bad value is rejected and reads as undefined. */
  private one<T>(label: string, read: (text: string) => Read<T>): T | undefined {
    const text = this.text(label)
    if (text === undefined) return undefined
    const result = read(text)
    if ('value' in result) return result.value
    this.reject(label, text, result.complaint)
    return undefined
  }

  private reject(label: string, value: string, complaint: Complaint): void {
    this.rejections.push(this.complain(label, value, complaint))
  }

  private complain(label: string, value: string, { reason, remedy }: Complaint): Rejection {
    const { source, name } = this.instance
    return {
      source,
      container: name,
      stack: this.stack,
      label: printable(label),
      value: printable(value),
      reason,
      remedy,
    }
  }

  private warnOfUnknownLabels(): void {
    const prefix = `${this.rules.labelPrefix}.`
    for (const [label, value] of Object.entries(this.instance.labels)) {
      if (!label.startsWith(prefix)) continue
      const route = /^routes\.([^.]+)\.(.+)$/.exec(label.slice(prefix.length))
      const name = route?.[2] ?? label.slice(prefix.length)
      const known: readonly string[] = route ? ROUTE_LABELS : [...KNOWN]
      if (known.includes(name)) continue
      const reason = `no label is called that.${didYouMean(name, known)}`
      this.warnings.push(this.complain(label, value, { reason, remedy: 'correct or remove it; it is ignored' }))
    }
  }

  /** The container's own route comes first; it is absent when all that the labels describe is named routes. */
  private routeNames(): string[] {
    const prefix = `${this.rules.labelPrefix}.routes.`
    const named = new Set<string>()
    for (const label of Object.keys(this.instance.labels)) {
      const name = label.startsWith(prefix) ? label.slice(prefix.length).split('.')[0] : undefined
      if (name !== undefined && label.length > prefix.length + name.length) named.add(name)
    }
    const own = !this.isWithoutTraffic() && (named.size === 0 || this.hasOwnRoute())
    return [...(own ? [''] : []), ...[...named].sort()]
  }

  /** `hostler.port: none`: a database, say, that only sleeps and wakes with the others. */
  private isWithoutTraffic(): boolean {
    return this.text(this.label('port'))?.trim().toLowerCase() === 'none'
  }

  private hasOwnRoute(): boolean {
    return (
      this.text(this.rules.portLabel) !== undefined ||
      ROUTE_LABELS.some((name) => this.text(this.label(name)) !== undefined)
    )
  }

  /** One route, or undefined when any of its labels cannot be honoured. */
  private route(name: string): RouteWish | undefined {
    const before = this.rejections.length
    if (name !== '') this.checkRouteName(name)
    const get = <T>(label: RouteLabel, read: (text: string) => Read<T>) => this.one(this.label(label, name), read)
    const direct = name === '' && this.isDirect ? readDirect(this.instance, this.rules.direct) : undefined
    const wish = {
      name,
      hosts: this.hosts(name),
      path: get('path', readPath) ?? direct?.path ?? '/',
      stripPath: get('strip-path', readBoolean) ?? direct?.stripPath ?? false,
      cookie: get('cookie', readCookie) ?? direct?.cookie,
      priority: get('priority', readWhole(1, 99_999)),
      scheme: get('scheme', readWord('http', 'https', 'h2c')) ?? 'http',
      sticky: get('sticky', readBoolean) ?? false,
      healthCheck: this.healthCheck(name),
      probe: direct?.probe,
      port: this.port(name),
      weight: get('weight', readWhole(0, 256)),
      maxconn: get('maxconn', readWhole(1, 1_000_000)),
      ...this.serverOptions(name),
    }
    if (this.rejections.length > before || wish.port === undefined) return undefined
    return withoutUndefined(wish) as RouteWish
  }

  private checkRouteName(name: string): void {
    const result = readName(name)
    if ('complaint' in result) this.reject(`${this.rules.labelPrefix}.routes.${name}`, name, result.complaint)
  }

  private hosts(route: string): HostPattern[] {
    const label = this.label('host', route)
    const written = this.text(label)
    if (written === undefined && route === '' && this.isDirect) return [EVERY_HOST]
    const templates = written === undefined ? [this.rules.hostTemplate] : written.split(',')
    const aliases = this.text(this.label('aliases', route))
    const names = [
      ...templates.map((template) => ({ label, text: template.trim(), host: this.fill(template.trim()) })),
      ...(aliases?.split(',') ?? [])
        .map((alias) => alias.trim())
        .filter((alias) => alias !== '')
        .map((alias) => ({ label: this.label('aliases', route), text: alias, host: `${alias}.${this.rules.domain}` })),
    ]
    const hosts = names
      .map(({ label, text, host }) => this.host(label, text, host))
      .filter((host) => host !== undefined)
    return [...new Map(hosts.map((pattern) => [pattern.host, pattern])).values()]
  }

  private host(label: string, text: string, host: string): HostPattern | undefined {
    const result = readHost(host)
    if ('value' in result) return result.value
    this.reject(label, text, result.complaint)
    return undefined
  }

  private fill(template: string): string {
    const { stack, service, instance, rules } = this
    const values: Readonly<Record<string, string>> = {
      '%STACK%': hostLabel(stack),
      '%SERVICE%': hostLabel(service),
      '%NAME%': hostLabel(instance.name),
      ...(instance.environment !== undefined && { '%ENVIRONMENT%': hostLabel(instance.environment) }),
      '%DOMAIN%': rules.domain,
    }
    return template.replace(/%[A-Z]+%/g, (placeholder) => values[placeholder] ?? placeholder)
  }

  private port(route: string): number | undefined {
    for (const label of [this.label('port', route), this.label('port'), this.rules.portLabel]) {
      if (this.text(label) !== undefined) return this.one(label, readPort)
    }
    const byTraefik = this.isDirect ? traefikPort(this.instance.labels) : undefined
    if (byTraefik !== undefined) return byTraefik
    const exposed = [...new Set(this.instance.ports.map(({ port }) => port))]
    if (exposed.length === 1) return exposed[0]
    const reason =
      exposed.length === 0 ? 'it exposes no port' : `it exposes several ports (${exposed.slice(0, 8).join(', ')})`
    this.reject(this.label('port', route), '', {
      reason,
      remedy: `set ${this.label('port', route)} to the one that serves`,
    })
    return undefined
  }

  private healthCheck(route: string): HealthCheck | undefined {
    const own = [this.instance.name, ...this.instance.networks.map(({ address }) => address)]
    const target = this.one(this.label('health-check', route), (text) => readHealthCheck(text, own))
    const status = this.one(this.label('health-check-status', route), readStatusRange) ?? '200-399'
    const intervalMs = this.one(this.label('health-check-interval', route), readDuration) ?? 5000
    const timeoutMs = this.one(this.label('health-check-timeout', route), readDuration) ?? 3000
    return target && { ...target, status, intervalMs: Math.max(intervalMs, 100), timeoutMs: Math.max(timeoutMs, 100) }
  }

  private serverOptions(route: string): ServerLineOptions {
    const byLabel = this.one(this.label('proxy-protocol', route), readWord('v1', 'v2'))
    const byOperator = route === '' ? this.one(this.rules.proxyLabel, readServerOptions) : undefined
    const proxyProtocol = byLabel ?? byOperator?.proxyProtocol
    return { ...(proxyProtocol && { proxyProtocol }), options: byOperator?.options ?? [] }
  }

  /** A bad value here leaves the route alone: the setting's value is used instead, and that is said. */
  private lifecycle(): Lifecycle {
    const get = <T>(name: (typeof LIFECYCLE_LABELS)[number], read: (text: string) => Read<T>): T | undefined => {
      const text = this.text(this.label(name))
      const result = text === undefined ? undefined : read(text)
      if (result && 'complaint' in result)
        this.warnings.push(this.complain(this.label(name), text ?? '', result.complaint))
      return result && 'value' in result ? result.value : undefined
    }
    const { sleep } = this.rules
    const own = [this.instance.name, ...this.instance.networks.map(({ address }) => address)]
    const maxAgeMs = get('max-age', readDuration)
    const veto = get('veto', (text) => readHealthCheck(text, own))
    return {
      // They were woken before there was a label for it, and ended by themselves.
      wake:
        (get('wake', readBoolean) ?? (this.isDirect || sleep.wake)) &&
        sleep.sources.includes(this.instance.source) &&
        isRestartable(this.instance),
      idleMs: get('idle', readDuration) ?? (this.isDirect ? 0 : sleep.idleMs),
      onIdle: get('on-idle', readWord('stop', 'pause', 'remove')) ?? sleep.onIdle,
      group: get('group', readName) ?? stackIdentity(this.stack, this.instance),
      ...(maxAgeMs && { maxAgeMs }),
      ...(veto && { veto }),
      ...(this.isDirect && { patienceMs: this.rules.direct.patienceMs }),
    }
  }
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

function withoutUndefined<T extends object>(object: T): Defined<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>
}
