import type { Clock } from '../clock.js'
import { HostlerError } from '../errors.js'
import { printable } from '../printable.js'
import type { RancherClient } from './client.js'
import { type RancherNamed, readNamed } from './shapes.js'

export interface RancherProject extends RancherNamed {
  readonly url: string
}

/** A service as Rancher tells of it, not yet looked at, and where it belongs. */
export interface Counted {
  readonly answer: unknown
  readonly project: RancherProject
  /** Name of its stack; undefined when Rancher tells of none. */
  readonly stack?: string
}

/** Who is there: services with the names of their stacks and projects, which are asked for again only now and then. */
export interface Census {
  projects(client: RancherClient, signal: AbortSignal): Promise<readonly RancherProject[]>
  /** Every service of the projects that count; `query` (`name=web`) asks Rancher for some of them. */
  services(client: RancherClient, signal: AbortSignal, query?: string): Promise<Counted[]>
}

/** Names may change, though hardly ever do. */
const NAMES_MS = 60_000

/** @param wanted name or id of the one project that counts; empty: every one */
export function createCensus(wanted: string, clock: Clock): Census {
  let known: { readonly at: number; readonly projects: readonly RancherProject[] } | undefined
  const stacks = new Map<string, { readonly at: number; readonly names: ReadonlyMap<string, string> }>()
  const isFresh = (at: number | undefined) => at !== undefined && clock.elapsed() - at < NAMES_MS

  async function projects(client: RancherClient, signal: AbortSignal): Promise<readonly RancherProject[]> {
    if (!known || !isFresh(known.at)) {
      const at = clock.elapsed()
      known = { at, projects: await readProjects(client, wanted, signal) }
    }
    return known.projects
  }

  async function namesOf(client: RancherClient, project: RancherProject, ids: Set<string>, signal: AbortSignal) {
    const before = stacks.get(project.id)
    if (before && isFresh(before.at) && [...ids].every((id) => before.names.has(id))) return before.names
    const at = clock.elapsed()
    const entries = await client.list(`${project.url}/${stackWord(client)}`, signal)
    const named = entries.map((entry) => readNamed(entry, 'stack'))
    // One that is named nowhere is not asked for again and again.
    const none = [...ids].map((id) => [id, ''] as const)
    const names = new Map([...none, ...named.map(({ id, name }) => [id, name] as const)])
    stacks.set(project.id, { at, names })
    return names
  }

  async function servicesOf(client: RancherClient, project: RancherProject, query: string, signal: AbortSignal) {
    const answers = unique(await client.list(`${project.url}/services${query && `?${query}`}`, signal))
    const names = await namesOf(client, project, new Set(answers.map(stackIdOf)), signal)
    return answers.map((answer): Counted => {
      const stack = names.get(stackIdOf(answer))
      return { answer, project, ...(stack && { stack }) }
    })
  }

  return {
    projects,
    async services(client, signal, query = '') {
      const found: Counted[] = []
      for (const project of await projects(client, signal)) {
        found.push(...(await servicesOf(client, project, query, signal)))
      }
      return found
    },
  }
}

export const stackWord = ({ base }: RancherClient): string => (base.dialect === 'v1' ? 'environments' : 'stacks')

async function readProjects(client: RancherClient, wanted: string, signal: AbortSignal): Promise<RancherProject[]> {
  const { url, projectId } = client.base
  const answers = projectId === undefined ? await client.list(`${url}/projects`, signal) : [await one(client, signal)]
  const all = answers.map((answer) => {
    const { id, name } = readNamed(answer, 'project')
    return { id, name, url: `${url}/projects/${id}` }
  })
  const found = wanted === '' ? all : all.filter(({ id, name }) => id === wanted || name === wanted)
  if (found.length > 0) return found
  const seen = all.map(({ id, name }) => `${printable(name, 60)} (${id})`).join(', ') || 'none'
  const whom = wanted === '' ? 'no project' : `no project ${JSON.stringify(wanted)}`
  throw new HostlerError(
    'rancher-project',
    `the key sees ${whom} at ${url}; it sees ${seen}. Set RANCHER_PROJECT to one`,
  )
}

async function one({ base, read }: RancherClient, signal: AbortSignal): Promise<unknown> {
  const url = `${base.url}/projects/${base.projectId}`
  const answer = await read(url, signal)
  if (answer === undefined)
    throw new HostlerError('rancher-project', `${url} is not there; see that RANCHER_URL is right`)
  return answer
}

const stackIdOf = (answer: unknown): string => {
  const { stackId, environmentId } = answer as { stackId?: unknown; environmentId?: unknown }
  const id = stackId ?? environmentId
  return typeof id === 'string' ? id : ''
}

/** What moves while pages are turned may be on two of them. */
function unique(answers: readonly unknown[]): object[] {
  const found = new Map<unknown, object>()
  for (const answer of answers) {
    if (typeof answer !== 'object' || answer === null) {
      throw new HostlerError('rancher-shape', 'Rancher tells of a service that is no object')
    }
    found.set((answer as { id?: unknown }).id, answer)
  }
  return [...found.values()]
}
