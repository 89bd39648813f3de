import type { Backend, Plan, Route } from '../model/plan.js'
import { refusers } from '../reconcile/refusers.js'
import type { State } from '../reconcile/state.js'
import { counted, type Row, type Screen, signedTable, type Tone } from './screen.js'

/** More would push the interesting part off the screen; `--json` has them all. */
const MAX_NAMED = 3

/** Every route in the order in which they are tried, with its backend and who is behind it. */
export function routesBlock(state: State, screen: Screen): string[] {
  const { plan } = state
  const refused = refusers(state)
  const title = `${screen.paint.strong('ROUTES')}  ${screen.paint.dim(summary(plan))}`
  if (plan.backends.length === 0) return [title, '  Nothing is routed yet: no container says which port gets traffic.']
  const backends = new Map(plan.backends.map((backend) => [backend.name, backend]))
  const unreached = plan.backends.filter((backend) => backend.routes.length === 0)
  const rows = [
    { tone: 'none' as const, cells: ['HOST/PATH', 'BACKEND', 'SERVERS'] },
    ...plan.routes.map((route) => rowFor(address(route), route.backend, backends.get(route.backend), refused)),
    ...unreached.map((backend) => rowFor('–', backend.name, backend, refused)),
  ]
  return [title, ...signedTable(rows, screen)]
}

function summary({ routes, backends }: Plan): string {
  const live = backends.reduce((count, { servers }) => count + servers.length, 0)
  const waiting = backends.reduce((count, backend) => count + backend.waiting.length, 0)
  return `${counted(routes.length, 'route')}, ${counted(backends.length, 'backend')}, ${live} live, ${waiting} waiting`
}

function rowFor(
  shown: string,
  name: string,
  backend: Backend | undefined,
  refused: ReadonlyMap<string, readonly string[]>,
): Row {
  const by = refused.get(name)
  if (by !== undefined) return { tone: 'bad', cells: [shown, name, `left out: ${by.join(' and ')} refuses it`] }
  return { tone: toneOf(backend), cells: [shown, name, backend ? population(backend) : 'no such backend'] }
}

function toneOf(backend: Backend | undefined): Tone {
  if (!backend || backend.servers.length + backend.waiting.length === 0) return 'bad'
  return backend.servers.length === 0 ? 'wait' : 'good'
}

function address({ host, path, cookie }: Route): string {
  const shown = path === '/' ? host : `${host}${path}`
  return cookie ? `${shown} (cookie ${cookie.name}=${cookie.value})` : shown
}

/** `2 live: web-1 172.18.0.2:80, web-2 172.18.0.3:80; 1 waiting: web-3 starting` */
function population({ servers, waiting }: Backend): string {
  const live = servers.map(({ instance, address, port }) => {
    const host = address.includes(':') ? `[${address}]` : address
    return `${instance} ${host}:${port}`
  })
  const late = waiting.map(({ instance, reason }) => `${instance} ${reason}`)
  const parts = [named('live', live), named('waiting', late)].filter((part) => part !== '')
  return parts.length === 0 ? 'no instance' : parts.join('; ')
}

function named(what: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  const rest = names.length > MAX_NAMED ? [`${names.length - MAX_NAMED} more`] : []
  return `${names.length} ${what}: ${[...names.slice(0, MAX_NAMED), ...rest].join(', ')}`
}
