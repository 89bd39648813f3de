import { createBackoff } from '../../lib/backoff.js'
import type { Clock } from '../../lib/clock.js'
import type { Answer, ApiItem, Kind, TraefikApi } from './api.js'
import type { BackendContext } from './context.js'

/** What Traefik made of a revision. */
export type Finding =
  /** It has it; `faults` are the routers and services that it will not use as they are. */
  | { readonly is: 'in force'; readonly faults: readonly Fault[] }
  /** It answers, and has not loaded the revision (or not all of it) in time. */
  | { readonly is: 'not loaded'; readonly reason: string }
  /** It could not be asked. */
  | { readonly is: 'unknown'; readonly reason: string }

export interface Fault {
  readonly backend: string
  readonly status: string
  readonly errors: readonly string[]
}

export interface ProbeRequest {
  /** The middleware that only this revision has. */
  readonly name: string
  /** The backends to look at. */
  readonly backends: readonly BackendContext[]
  readonly timeoutMs: number
  /** Called once when half of the time is over: the event of the renamed file may have been lost. */
  readonly remind: () => Promise<void>
}

/** Up to so many backends are looked up one by one rather than listed with all the others. */
const FEW = 20

export async function probe(
  { name, backends, timeoutMs, remind }: ProbeRequest,
  { api, clock }: { api: TraefikApi; clock: Clock },
  signal: AbortSignal,
): Promise<Finding> {
  const started = clock.elapsed()
  const backoff = createBackoff({ firstMs: 50, maxMs: 500 })
  let reminded = false
  for (;;) {
    const finding = await look(name, backends, api, signal)
    const spent = clock.elapsed() - started
    if (finding.is !== 'not loaded' || spent >= timeoutMs) return finding
    if (!reminded && spent >= timeoutMs / 2) {
      reminded = true
      await remind()
    }
    await clock.sleep(backoff.next(), signal)
  }
}

async function look(
  name: string,
  backends: readonly BackendContext[],
  api: TraefikApi,
  signal: AbortSignal,
): Promise<Finding> {
  const answer = await api.hasMiddleware(name, signal)
  if ('unknown' in answer) return { is: 'unknown', reason: answer.unknown }
  if ('missing' in answer) return { is: 'not loaded', reason: `it knows no middleware ${name}@file` }
  if (backends.length === 0) return { is: 'in force', faults: [] }
  const routers = await itemsOf(
    'routers',
    backends.flatMap((backend) => backend.routers.map((router) => router.name)),
    api,
    signal,
  )
  const services = await itemsOf(
    'services',
    backends.map((backend) => backend.name),
    api,
    signal,
  )
  if ('unknown' in routers) return { is: 'unknown', reason: routers.unknown }
  if ('unknown' in services) return { is: 'unknown', reason: services.unknown }
  const behind = backends.find((backend) => !sameServers(backend, services.value.get(backend.name)))
  if (behind) return { is: 'not loaded', reason: `its service ${behind.name}@file has other servers` }
  return { is: 'in force', faults: backends.flatMap((backend) => faultsOf(backend, routers.value, services.value)) }
}

type Items = ReadonlyMap<string, ApiItem>

async function itemsOf(
  kind: Kind,
  names: readonly string[],
  api: TraefikApi,
  signal: AbortSignal,
): Promise<{ value: Items } | { unknown: string }> {
  if (names.length > FEW) {
    const all = await api.all(kind, signal)
    return 'missing' in all ? { value: new Map() } : all
  }
  const answers: Answer<ApiItem>[] = await Promise.all(names.map((name) => api.one(kind, name, signal)))
  const unknown = answers.find((answer) => 'unknown' in answer)
  if (unknown) return unknown
  const found = answers.flatMap((answer, index) =>
    'value' in answer ? [[names[index] ?? '', answer.value] as const] : [],
  )
  return { value: new Map(found) }
}

function sameServers({ servers }: BackendContext, item: ApiItem | undefined): boolean {
  // A service without servers is not always listed with any.
  const seen = [...(item?.serverUrls ?? [])].sort()
  const wanted = servers.map(({ url }) => url).sort()
  return item !== undefined && seen.length === wanted.length && seen.every((url, index) => url === wanted[index])
}

/** At most one, with everything that is wrong around a backend. */
function faultsOf({ name, routers }: BackendContext, knownRouters: Items, knownServices: Items): Fault[] {
  const items = [...routers.map((router) => knownRouters.get(router.name)), knownServices.get(name)]
  const faulty = items.filter((item) => item !== undefined).filter(({ status }) => status !== 'enabled')
  const [first] = faulty
  return first ? [{ backend: name, status: first.status, errors: faulty.flatMap(({ errors }) => errors) }] : []
}
