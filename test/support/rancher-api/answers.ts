import type { LaunchConfig, Project, Service, Stack, World } from './world.js'

export const API_VERSIONS = ['v2-beta', 'v1'] as const
export type ApiVersion = (typeof API_VERSIONS)[number]

export interface Call {
  readonly world: World
  readonly method: string
  readonly url: URL
  readonly body: unknown
  readonly pageLimit: number
}

export interface Reply {
  readonly status: number
  readonly body?: unknown
}

/** An error as Rancher words it. */
export const refuse = (status: number, code: string, more: object = {}): Reply => ({
  status,
  body: { type: 'error', id: 'c0ffee', links: {}, actions: {}, status, code, message: code, detail: null, ...more },
})

/** What Rancher answers: its collections, resources, actions, and the words of either version. */
export function answerTo(call: Call): Reply {
  const [version, collection, projectId, ...rest] = call.url.pathname.split('/').filter(Boolean)
  if (version !== 'v2-beta' && version !== 'v1') return refuse(404, 'NotFound')
  if (collection !== 'projects') return refuse(404, 'NotFound')
  const scope = { ...call, version, base: `${call.url.origin}/${version}/projects` } as const
  if (projectId === undefined) {
    return page(scope, [...call.world.projects.values()], (project) => toProject(scope, project))
  }
  const project = call.world.projects.get(projectId)
  if (!project) return refuse(404, 'NotFound')
  if (rest.length === 0) return { status: 200, body: toProject(scope, project) }
  if (!TELLING.has(project.state)) return refuse(403, 'Forbidden')
  return inProject({ ...scope, projectId, project: `${scope.base}/${projectId}` }, rest)
}

/** States of a project in which anything of it is told; not even while its name is changed. */
const TELLING = new Set(['active', 'activating', 'upgrading'])

interface Scope extends Call {
  readonly version: ApiVersion
  readonly base: string
}

interface ProjectScope extends Scope {
  readonly projectId: string
  /** Its URL. */
  readonly project: string
}

function inProject(scope: ProjectScope, [kind, id, inner]: readonly string[]): Reply {
  const stackWord = scope.version === 'v1' ? 'environments' : 'stacks'
  if (kind === 'services' || (kind === 'service' && scope.method === 'POST' && scope.version === 'v2-beta')) {
    return id === undefined ? services(scope, () => true) : service(scope, id)
  }
  if (kind !== stackWord) return refuse(404, 'NotFound')
  const stacks = [...scope.world.stacks.values()].filter(({ projectId }) => projectId === scope.projectId)
  if (id === undefined && scope.method === 'POST') return createStack(scope, stacks)
  if (id === undefined) return page(scope, stacks.filter(byName(scope)), (stack) => toStack(scope, stack))
  const stack = stacks.find((one) => one.id === id)
  if (!stack) return refuse(404, 'NotFound')
  if (inner === 'services') return services(scope, ({ stackId }) => stackId === id)
  return { status: 200, body: toStack(scope, stack) }
}

/** In any case: so does Rancher's database compare. */
const byName =
  ({ url }: Scope) =>
  ({ name }: { readonly name: string }): boolean =>
    (url.searchParams.get('name') ?? name).toLowerCase() === name.toLowerCase()

function services(scope: ProjectScope, isMeant: (service: Service) => boolean): Reply {
  if (scope.method === 'POST') return createService(scope)
  const health = scope.url.searchParams.get('healthState')
  const found = [...scope.world.services.values()]
    .filter((one) => one.projectId === scope.projectId && one.state !== 'removed' && isMeant(one))
    .filter((one) => byName(scope)(one) && (health === null || one.healthState === health))
  return page(scope, found, (one) => toService(scope, one))
}

function service(scope: ProjectScope, id: string): Reply {
  const found = scope.world.services.get(id)
  if (!found || found.projectId !== scope.projectId) return refuse(404, 'NotFound')
  const action = scope.method === 'DELETE' ? 'remove' : scope.url.searchParams.get('action')
  if (scope.method === 'PUT') scope.world.update(found, scope.body as Partial<Service>)
  else if (action !== null) {
    if (!scope.world.actions(found).includes(action)) {
      return refuse(422, 'ActionNotAvailable', { fieldName: 'action' })
    }
    scope.world.act(found, action)
    return { status: scope.method === 'DELETE' ? 200 : 202, body: toService(scope, found) }
  }
  return { status: 200, body: toService(scope, found) }
}

const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/
const CAPABILITIES = new Set(['ALL', 'CHOWN', 'NET_ADMIN', 'NET_RAW', 'MKNOD', 'SYS_ADMIN', 'SYS_TIME'])

function createService(scope: ProjectScope): Reply {
  const { world } = scope
  const wanted = scope.body as Partial<Service> & { environmentId?: string; startOnCreate?: boolean }
  const { name = '', launchConfig, scale = 1 } = wanted
  const stack = world.stacks.get((scope.version === 'v1' ? wanted.environmentId : wanted.stackId) ?? '')
  if (!stack) return refuse(422, 'MissingRequired', { fieldName: scope.version === 'v1' ? 'environmentId' : 'stackId' })
  if (!NAME.test(name) || name.includes('--')) return refuse(422, 'InvalidCharacters', { fieldName: 'name' })
  const capabilities = [...listOf(launchConfig, 'capAdd'), ...listOf(launchConfig, 'capDrop')]
  if (capabilities.some((one) => !CAPABILITIES.has(one))) return refuse(422, 'InvalidOption', { fieldName: 'capAdd' })
  const others = [...world.services.values()].filter(
    ({ stackId, state }) => stackId === stack.id && state !== 'removed',
  )
  if (others.some((one) => one.name.toLowerCase() === name.toLowerCase())) {
    return refuse(422, 'NotUnique', { fieldName: 'name' })
  }
  const made = world.service(name, stack, {
    ...{ state: 'registering', transitioning: 'yes', scale, launchConfig: launchConfig ?? null },
  })
  return { status: 201, body: toService(scope, made) }
}

const listOf = (config: LaunchConfig | null | undefined, field: string): string[] => {
  const value = config?.[field]
  return Array.isArray(value) ? value : []
}

function createStack(scope: ProjectScope, stacks: readonly Stack[]): Reply {
  const { name = '' } = scope.body as { name?: string }
  if (!NAME.test(name)) return refuse(422, 'InvalidCharacters', { fieldName: 'name' })
  if (stacks.some((one) => one.name.toLowerCase() === name.toLowerCase())) {
    return refuse(422, 'NotUnique', { fieldName: 'name' })
  }
  return { status: 201, body: toStack(scope, scope.world.stack(name, scope.projectId)) }
}

/** One page of a list, as short as the server likes it. */
function page<T>({ url, pageLimit }: Scope, all: readonly T[], toEntry: (one: T) => object): Reply {
  const asked = Number(url.searchParams.get('limit') ?? 100)
  const first = Number(url.searchParams.get('marker')?.replace(/^m/, '') ?? 0)
  const limit = Math.min(asked, pageLimit)
  const next = new URL(url)
  next.searchParams.set('marker', `m${first + limit}`)
  const partial = first + limit < all.length
  const pagination = { first: null, previous: null, next: partial ? next.href : null, limit, total: null, partial }
  const data = all.slice(first, first + limit).map(toEntry)
  return { status: 200, body: { type: 'collection', links: { self: url.href }, data, pagination } }
}

const toProject = ({ base, version }: Scope, { id, name, state }: Project) => {
  const self = `${base}/${id}`
  const stacks = version === 'v1' ? { environments: `${self}/environments` } : { stacks: `${self}/stacks` }
  return {
    id,
    type: 'project',
    name,
    state,
    links: { self, services: `${self}/services`, ...stacks },
    actions: {},
  }
}

const toStack = ({ project, version }: ProjectScope, { id, name, projectId }: Stack) => {
  const [type, word] = version === 'v1' ? ['environment', 'environments'] : ['stack', 'stacks']
  const self = `${project}/${word}/${id}`
  return {
    id,
    type,
    name,
    state: 'active',
    accountId: projectId,
    links: { self, services: `${self}/services` },
    actions: {},
  }
}

function toService({ project, version, world }: ProjectScope, service: Service) {
  const { stackId, projectId, createdTS, state, ...more } = service
  const self = `${project}/services/${service.id}`
  const [field, link, word] =
    version === 'v1' ? ['environmentId', 'environment', 'environments'] : ['stackId', 'stack', 'stacks']
  return {
    ...{
      type: 'service',
      baseType: 'service',
      kind: 'service',
      accountId: projectId,
      [field]: stackId,
      description: null,
    },
    ...{ created: new Date(createdTS).toISOString(), createdTS, state, ...more },
    links: { self, account: project, [link]: `${project}/${word}/${stackId}`, instances: `${self}/instances` },
    actions: Object.fromEntries(world.actions(service).map((action) => [action, `${self}/?action=${action}`])),
  }
}
