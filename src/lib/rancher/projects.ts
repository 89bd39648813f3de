import type { Clock } from '../clock.js'
import { codeOf, HostlerError } from '../errors.js'
import { printable } from '../printable.js'
import type { RancherClient } from './client.js'
import { type RancherNamed, readNamed } from './shapes.js'

export interface RancherProject extends RancherNamed {
  readonly url: string
}

/** Does its work with the projects that count, which are asked for again only now and then. */
export type WithProjects = <T>(
  client: RancherClient,
  signal: AbortSignal,
  work: (projects: readonly RancherProject[]) => Promise<T>,
) => Promise<T>

export interface ProjectsInputs {
  /** Name or id of the one project that counts; empty: every one. */
  readonly wanted: string
  readonly clock: Clock
  /** Rancher lists this one, and tells nothing of it until it is activated. */
  readonly skipped?: (project: RancherProject) => void
}

/** Names may change, though hardly ever do. */
export const NAMES_MS = 60_000

/**
 * When one of the projects is refused or not there any more (403, 404), they are asked for again, and the work is done
 * again with what there is now.
 */
export function createProjects({ wanted, clock, skipped }: ProjectsInputs): WithProjects {
  let known: { readonly at: number; readonly projects: readonly RancherProject[] } | undefined
  let resting = new Set<string>()

  async function ask(client: RancherClient, signal: AbortSignal): Promise<readonly RancherProject[]> {
    const at = clock.elapsed()
    const found = await readProjects(client, wanted, signal)
    const asleep = found.filter((project) => !isTelling(project))
    for (const project of asleep) if (!resting.has(project.id)) skipped?.(project)
    resting = new Set(asleep.map(({ id }) => id))
    const projects = found.filter(isTelling)
    if (projects.length === 0) throw noneActive(asleep, client)
    known = { at, projects }
    return projects
  }

  return async function withProjects(client, signal, work) {
    if (known && clock.elapsed() - known.at < NAMES_MS) {
      try {
        return await work(known.projects)
      } catch (error) {
        if (!isRefused(error)) throw error
      }
    }
    const projects = await ask(client, signal)
    return work(projects).catch((error) => {
      if (!isRefused(error)) throw error
      known = undefined
      throw passing(projects, error) ?? error
    })
  }
}

/**
 * Rancher tells of what is `active`, `activating` or `upgrading`. While a project is changed, which takes a moment, it refuses
 * what is asked of it: that is an outage. In every other state it has been taken out of use.
 */
const isTelling = ({ state }: RancherProject): boolean =>
  ['', 'active', 'activating', 'upgrading', 'updating-active'].includes(state)

const isRefused = (error: unknown): boolean => ['rancher-key', 'rancher-missing'].includes(codeOf(error) ?? '')

function passing(projects: readonly RancherProject[], cause: unknown): HostlerError | undefined {
  const [one] = projects.filter(({ state }) => state === 'updating-active')
  if (!one) return undefined
  return new HostlerError('rancher-status', `nothing is told of ${titleOf(one)} while it is ${one.state}`, { cause })
}

const titleOf = ({ name, id }: RancherProject): string => `project ${printable(name, 60)} (${id})`

function noneActive(asleep: readonly RancherProject[], { base }: RancherClient): HostlerError {
  const whom = asleep.map((project) => `${titleOf(project)} is ${printable(project.state, 40)}`).join(', ')
  return new HostlerError('rancher-project', `${whom} at ${base.url}; activate it there, or set RANCHER_PROJECT`)
}

async function readProjects(client: RancherClient, wanted: string, signal: AbortSignal): Promise<RancherProject[]> {
  const { url, projectId } = client.base
  const answers =
    projectId === undefined ? (await client.list(`${url}/projects`, signal)).entries : [await one(client, signal)]
  const all = answers.map((answer) => {
    const named = readNamed(answer, 'project')
    return { ...named, url: `${url}/projects/${named.id}` }
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
