import { HostlerError } from '../errors.js'
import { createLimit } from '../limit.js'
import { isRancherId } from './address.js'
import type { RancherClient } from './client.js'
import { createProjects, NAMES_MS, type ProjectsInputs, type RancherProject, type WithProjects } from './projects.js'
import { readNamed } from './shapes.js'
import { isGone } from './states.js'

/** A service as Rancher tells of it, not yet looked at, and where it belongs. */
export interface Counted {
  readonly answer: unknown
  readonly project: RancherProject
  /** Name of its stack; undefined when Rancher tells of none. */
  readonly stack?: string
}

/** Who is there: services with the names of their stacks and projects, which are asked for again only now and then. */
export interface Census {
  readonly withProjects: WithProjects
  /** Every service of the projects that count; `query` (`name=web`) asks Rancher for some of them. */
  services(client: RancherClient, signal: AbortSignal, query?: string): Promise<Counted[]>
}

/** How many of those that were passed over are asked for at once. */
const WIDTH = 4

export function createCensus(inputs: ProjectsInputs): Census {
  const { clock } = inputs
  const withProjects = createProjects(inputs)
  const stacks = new Map<string, { readonly at: number; readonly names: ReadonlyMap<string, string> }>()
  /** Ids of the services of each project. */
  const seen = new Map<string, ReadonlySet<string>>()

  async function namesOf(client: RancherClient, project: RancherProject, ids: Set<string>, signal: AbortSignal) {
    const before = stacks.get(project.id)
    const isFresh = before !== undefined && clock.elapsed() - before.at < NAMES_MS
    if (isFresh && [...ids].every((id) => before.names.has(id))) return before.names
    const at = clock.elapsed()
    const url = `${project.url}/${stackWord(client)}`
    const { entries, isOnePage } = await client.list(url, signal)
    const names = new Map(entries.map((entry) => readNamed(entry, 'stack')).map(({ id, name }) => [id, name]))
    const unnamed = [...ids].filter((id) => !names.has(id))
    for (const stack of isOnePage ? [] : await readEach(client, url, unnamed, signal)) {
      const { id, name } = readNamed(stack, 'stack')
      names.set(id, name)
    }
    // One that is named nowhere is not asked for again and again.
    for (const id of unnamed) if (!names.has(id)) names.set(id, '')
    stacks.set(project.id, { at, names })
    return names
  }

  /** All of them, also those that were passed over because others went while pages were turned. */
  async function allOf(client: RancherClient, project: RancherProject, signal: AbortSignal): Promise<object[]> {
    const url = `${project.url}/services`
    const { entries, isOnePage } = await client.list(url, signal)
    const found = byId(entries)
    const missing = isOnePage ? [] : [...(seen.get(project.id) ?? [])].filter((id) => !found.has(id))
    for (const answer of await readEach(client, url, missing, signal)) {
      if (!isGone({ state: textOf(answer, 'state') })) found.set(textOf(answer, 'id'), answer)
    }
    seen.set(project.id, new Set(found.keys()))
    return [...found.values()]
  }

  async function servicesOf(client: RancherClient, project: RancherProject, query: string, signal: AbortSignal) {
    const answers =
      query === ''
        ? await allOf(client, project, signal)
        : [...byId((await client.list(`${project.url}/services?${query}`, signal)).entries).values()]
    const names = await namesOf(client, project, new Set(answers.map(stackIdOf)), signal)
    return answers.map((answer): Counted => {
      const stack = names.get(stackIdOf(answer))
      return { answer, project, ...(stack && { stack }) }
    })
  }

  return {
    withProjects,
    services: (client, signal, query = '') =>
      withProjects(client, signal, async (projects) => {
        const found: Counted[] = []
        for (const project of projects) found.push(...(await servicesOf(client, project, query, signal)))
        return found
      }),
  }
}

export const stackWord = ({ base }: RancherClient): string => (base.dialect === 'v1' ? 'environments' : 'stacks')

/** Those of a list that are there, by their ids. */
async function readEach(client: RancherClient, url: string, ids: readonly string[], signal: AbortSignal) {
  const limited = createLimit(WIDTH)
  const asked = ids.filter(isRancherId)
  const answers = await Promise.all(asked.map((id) => limited(() => client.read(`${url}/${id}`, signal))))
  return [...byId(answers.filter((answer) => answer !== undefined)).values()]
}

const textOf = (answer: object, field: string): string => {
  const value = (answer as Readonly<Record<string, unknown>>)[field]
  return typeof value === 'string' ? value : ''
}

const stackIdOf = (answer: object): string => textOf(answer, 'stackId') || textOf(answer, 'environmentId')

/** What moves while pages are turned may be on two of them. */
function byId(answers: readonly unknown[]): Map<string, object> {
  const found = new Map<string, object>()
  for (const answer of answers) {
    if (typeof answer !== 'object' || answer === null) {
      throw new HostlerError('rancher-shape', 'Rancher tells of a service that is no object')
    }
    found.set(textOf(answer, 'id'), answer)
  }
  return found
}
