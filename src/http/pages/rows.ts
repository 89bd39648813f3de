import type { Backend, Rejection, Route } from '../../model/plan.js'
import { type AppliedChange, subjectOf } from '../../reconcile/changes.js'
import type { GroupSummary } from '../../reconcile/lifecycle-state.js'
import { lastWake, outlook } from '../../reconcile/lifecycle-words.js'
import type { ProxyState, RegistryState, SourceState, State } from '../../reconcile/state.js'
import { type Content, html, type Markup } from './html.js'

/** One backend: the routes that lead to it, its name, and who answers or waits; or which proxies refuse it. */
export const backendRow = (
  backend: Backend,
  entrance: State['entrance'],
  refusedBy: readonly string[] | undefined,
): Markup => html`<li class="row">
<div>${backend.routes.map((route) => html`<div>${routeLink(route, entrance)}</div>`)}</div>
<div>${backend.name} <small>${traits(backend)}</small></div>
<div>${refusedBy === undefined ? servers(backend) : html`<div class="dot bad">left out: ${refusedBy.join(' and ')} refuses it</div>`}</div>
</li>
`

/** A wildcard is no address, so it is shown without a link. */
function routeLink(route: Route, entrance: State['entrance']): Content {
  const shown = route.host + (route.path === '/' ? '' : route.path)
  const cookie = route.cookie === null ? '' : html` <small>cookie ${route.cookie.name}=${route.cookie.value}</small>`
  if (route.wildcard) return [shown, cookie]
  const { scheme, port } = entrance ?? { scheme: 'http', port: 80 }
  const portPart = port === (scheme === 'https' ? 443 : 80) ? '' : `:${port}`
  return [html`<a href="${scheme}://${route.host}${portPart}${route.path}" rel="noreferrer">${shown}</a>`, cookie]
}

const traits = ({ scheme, sticky, healthCheck }: Backend): string =>
  [scheme === 'http' ? '' : scheme, sticky ? 'sticky' : '', healthCheck ? `checks ${healthCheck.path}` : '']
    .filter((trait) => trait !== '')
    .join(', ')

const servers = ({ servers, waiting }: Backend): Content => [
  servers.length + waiting.length === 0 ? html`<div class="dot bad">no instance</div>` : undefined,
  servers.map(
    ({ instance, address, port }) => html`<div><span class="dot good"></span>${instance}
<small>${address.includes(':') ? `[${address}]` : address}:${port}</small></div>`,
  ),
  waiting.map(
    ({ instance, reason }) => html`<div><span class="dot wait"></span>${instance} <small>${reason}</small></div>`,
  ),
]

export const rejectionRow = ({
  source,
  container,
  stack,
  label,
  value,
  reason,
  remedy,
}: Rejection): Markup => html`<li class="pair">
<div>${container}<br><small>${stack}, ${source}</small></div>
<div><code>${label} = ${value}</code><br><span class="bad">${reason}</span><br>${remedy}</div>
</li>
`

export const proxyRow = (proxy: ProxyState, ago: (at: number) => string): Markup => html`<li class="pair">
<div><span class="dot ${tone(proxy.error, proxy.settled)}"></span>${proxy.name}</div>
<div>${lastChange(proxy, ago)}
${proxy.error === undefined ? undefined : html`<div class="bad">${proxy.error}</div>`}
${proxy.refused.map(({ backend, reason }) => html`<div class="bad">left out ${backend}: ${reason}</div>`)}
<div><small>${facts(proxy)}</small></div></div>
</li>
`

function lastChange({ settled, changes: [last] }: ProxyState, ago: (at: number) => string): Content {
  if (!last) return html`<span class="dim">${settled ? 'in step since the start' : 'has taken nothing yet'}</span>`
  return html`${last.how} in ${Math.round(last.ms)} ms, ${ago(last.at)}`
}

export const changeRow = (change: AppliedChange, ago: (at: number) => string): Markup => html`<li class="pair">
<div>${change.how} <small>${Math.round(change.ms)} ms, ${ago(change.at)}</small></div>
<div>${subjectOf(change)}${change.why === undefined ? undefined : html`<div class="dim">because ${change.why}</div>`}</div>
</li>
`

const facts = ({ applies, failures, details }: ProxyState): string =>
  [...Object.entries(applies), ['failed', failures] as const, ...Object.entries(details)]
    .map(([name, value]) => `${name} ${value}`)
    .join(' · ')

export const sourceRow = (
  { name, instances, updatedAt, error }: SourceState,
  ago: (at: number) => string,
): Markup => html`<li class="pair">
<div><span class="dot ${tone(error, updatedAt !== undefined)}"></span>${name}</div>
<div>${instances} ${instances === 1 ? 'instance' : 'instances'}, ${updatedAt === undefined ? 'never read' : `read ${ago(updatedAt)}`}
${error === undefined ? undefined : html`<div class="bad">${error}</div><small>Its last good facts stay in force.</small>`}</div>
</li>
`

export const registryRow = (
  { name, entries, syncedAt, error, troubles }: RegistryState,
  ago: (at: number) => string,
): Markup => html`<li class="pair">
<div><span class="dot ${tone(error, syncedAt !== undefined)}"></span>${name}</div>
<div>${entries} announced, ${syncedAt === undefined ? 'not in step yet' : `in step ${ago(syncedAt)}`}
${error === undefined ? undefined : html`<div class="bad">${error}</div><small>What was announced before stays.</small>`}
${troubles.slice(0, MAX_TROUBLES).map((trouble) => html`<div class="wait">${trouble}</div>`)}</div>
</li>
`

/** More lines than anyone reads; /api/state has them all. */
const MAX_TROUBLES = 100

/** Bad with an error, waiting until it is there, and good then. */
function tone(error: string | undefined, isThere: boolean): string {
  if (error !== undefined) return 'bad'
  return isThere ? 'good' : 'wait'
}

const PHASES: Readonly<Record<string, string>> = { awake: 'good', failed: 'bad' }

/** One group: whether it sleeps, what is to be expected of it, and how its last start went. */
export const groupRow = (group: GroupSummary, now: number): Markup => html`<li class="row">
<div><span class="dot ${PHASES[group.phase] ?? 'wait'}"></span>${group.name}</div>
<div>${outlook(group, now)}</div>
<div>${group.lastWake === undefined ? undefined : html`<small>last wake ${lastWake(group, now)}</small>`}</div>
</li>
`
