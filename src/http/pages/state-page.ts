import { ago, span } from '../../lib/ago.js'
import { refusers } from '../../reconcile/refusers.js'
import type { State } from '../../reconcile/state.js'
import { type Content, html, Markup } from './html.js'
import { backendRow, changeRow, groupRow, proxyRow, registryRow, rejectionRow, sourceRow } from './rows.js'
import { STYLE } from './style.js'

export { PAGE_POLICY } from './style.js'

const REFRESH_SECONDS = 10

/** More rows than anyone reads would only make the browser slow; /api/state has them all. */
const MAX_ROWS = 500

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='none' stroke='%231b5fa8' stroke-width='2.4' stroke-linecap='round' d='M4 3v6a4 4 0 0 0 8 0V3'/%3E%3C/svg%3E"

/** The state as a page for people: one glance says whether all is well, and if not, what to do. */
export function statePage(state: State, now: number): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${REFRESH_SECONDS}">
<title>${state.problems.length === 0 ? '' : '(!) '}Hostler${state.domain === '' ? '' : ` · ${state.domain}`}</title>
<link rel="icon" href="${new Markup(ICON)}">
<style>${new Markup(STYLE)}</style>
</head>
<body>
${[headline(state, now), problems(state), rejections(state), backends(state), sleep(state, now), proxies(state, now), changes(state, now), sources(state, now), registries(state, now)]}
<footer>
<span>${new Date(now).toISOString().replace('T', ' ').slice(0, 19)} UTC, renewed every ${REFRESH_SECONDS} s</span>
<a href="/api/state">State as JSON</a><a href="/api/plan">What comes next as JSON</a><a href="/metrics">Metrics</a><a href="/readyz">Readiness</a>
</footer>
</body>
</html>
`
  return page.text
}

const headline = ({ version, startedAt, domain, problems }: State, now: number): Markup => html`<header>
<h1>Hostler</h1>
${problems.length === 0 ? html`<span class="state good dot">ready</span>` : html`<span class="state bad dot">not ready</span>`}
${domain === '' ? undefined : html`<span>${domain}</span>`}
<small>version ${version}, up ${span(now - startedAt)}</small>
</header>
`

const problems = ({ problems }: State): Content =>
  section('Why it is not ready', problems, (problem) => html`<li class="bad">${problem}</li>`)

const rejections = ({ plan }: State): Content => [
  section('Labels that were not honoured', plan.rejections, rejectionRow),
  section('Labels that were honoured in part', plan.warnings, rejectionRow),
]

function backends(state: State): Markup {
  const { plan, entrance } = state
  const refused = refusers(state)
  const live = plan.backends.reduce((count, { servers }) => count + servers.length, 0)
  const waiting = plan.backends.reduce((count, backend) => count + backend.waiting.length, 0)
  if (plan.backends.length === 0) {
    return html`<h2>Routes</h2><ul><li class="empty">Nothing is routed yet. A container takes part when it has the label
<code>hostler.port</code>.</li></ul>`
  }
  return html`<h2>Routes <b>${plan.routes.length}</b> · backends <b>${plan.backends.length}</b> · live <b>${live}</b> · waiting <b>${waiting}</b></h2>
<ul>${plan.backends.slice(0, MAX_ROWS).map((backend) => backendRow(backend, entrance, refused.get(backend.name)))}${more(plan.backends.length)}</ul>
`
}

const proxies = (state: State, now: number): Content =>
  section('Proxies', state.proxies, (proxy) => proxyRow(proxy, (at) => ago(at, now)))

const sleep = ({ lifecycle }: State, now: number): Content =>
  section('Sleep and wake', lifecycle?.groups ?? [], (group) => groupRow(group, now))

const changes = (state: State, now: number): Content =>
  state.proxies.map(({ name, changes }) =>
    section(`Last changes of ${name}`, changes, (change) => changeRow(change, (at) => ago(at, now))),
  )

const sources = (state: State, now: number): Content =>
  section('Sources', state.sources, (source) => sourceRow(source, (at) => ago(at, now)))

const registries = ({ registries = [] }: State, now: number): Content =>
  section('Registries', registries, (registry) => registryRow(registry, (at) => ago(at, now)))

function section<T>(title: string, items: readonly T[], row: (item: T) => Markup): Content {
  if (items.length === 0) return undefined
  return html`<h2>${title} <b>${items.length}</b></h2>
<ul>${items.slice(0, MAX_ROWS).map(row)}${more(items.length)}</ul>
`
}

const more = (count: number): Content =>
  count > MAX_ROWS
    ? html`<li class="empty">and ${count - MAX_ROWS} more in <a href="/api/state">/api/state</a></li>`
    : undefined
