import type { Logger } from 'pino'
import { printable } from '../../lib/printable.js'
import { stackWord } from '../../lib/rancher/census.js'
import type { RancherAnswer, RancherClient } from '../../lib/rancher/client.js'
import type { RancherProject, WithProjects } from '../../lib/rancher/projects.js'
import { type RancherService, readNamed, readService } from '../../lib/rancher/shapes.js'
import { isGone } from '../../lib/rancher/states.js'
import { orAborted } from '../../lib/signals.js'
import { RuntimeError, type WorkloadLimits, type WorkloadSpec } from '../runtime.js'
import { type Desk, isDone, refusal } from './desk.js'
import { DEFAULT_NETWORK, isServiceName } from './look.js'
import { validate } from './validate.js'

export interface CreateDeps {
  readonly desk: Desk
  readonly withProjects: WithProjects
  readonly labels: CreateLabels
  /** The stack of what names none. */
  readonly stack: string
  readonly log: Logger
}

/** Which labels tell the ports that must be published, and the stack. */
export interface CreateLabels {
  readonly labelPrefix: string
  readonly portLabel: string
}

/**
 * Creates a service, inactive. Rancher does not tell what it made of a request that was cut off, so the request is seen
 * through to its end, and what came of it removed, behind the back of a caller who has gone. A stack that had to be made
 * for it stays: it is a name, and others may have put something into it.
 */
export async function createService(
  deps: CreateDeps,
  spec: WorkloadSpec,
  signal: AbortSignal,
): Promise<{ id: string }> {
  signal.throwIfAborted()
  validate(spec)
  const what = `creating service ${JSON.stringify(spec.name)}`
  const made = deps.desk.work(what, signal, async (client) => {
    const place = await deps.withProjects(client, signal, async (projects) => {
      const project = theProject(projects)
      return { project, stackId: await stackOf(deps, client, project, spec, signal) }
    })
    signal.throwIfAborted()
    return post(deps, { client, ...place, spec, what, signal })
  })
  return orAborted(made, signal)
}

/** The service that has the name of this one in the stack that it would go into: names are unique there, whatever their case. */
export async function namesakeOf(
  deps: CreateDeps,
  spec: Pick<WorkloadSpec, 'name' | 'labels'>,
  signal: AbortSignal,
): Promise<RancherService | undefined> {
  if (!isServiceName(spec.name)) return undefined
  const stack = stackNameOf(deps, spec)
  return deps.desk.work(`looking for service ${JSON.stringify(spec.name)}`, signal, (client) =>
    deps.withProjects(client, signal, async (projects) => {
      const url = `${theProject(projects).url}/${stackWord(client)}`
      const stackId = await stackIdOf(client, url, stack, signal)
      if (stackId === undefined) return undefined
      const { entries } = await client.list(`${url}/${stackId}/services?name=${spec.name}`, signal)
      const isMeant = ({ name }: RancherService) => name.toLowerCase() === spec.name.toLowerCase()
      return entries.map(readService).find((service) => isMeant(service) && !isGone(service))
    }),
  )
}

function theProject(projects: readonly RancherProject[]): RancherProject {
  if (projects[0] && projects.length === 1) return projects[0]
  const names = printable(projects.map(({ name }) => name).join(', '), 200)
  throw new RuntimeError(
    'refused',
    `the key sees several projects (${names}); set RANCHER_PROJECT to the one that gets what is deployed`,
  )
}

/** The id of the stack of that name, in which case does not count. */
async function stackIdOf(client: RancherClient, url: string, name: string, signal: AbortSignal) {
  const { entries } = await client.list(`${url}?name=${name}`, signal)
  const named = entries.map((answer) => readNamed(answer, 'stack'))
  return named.find((one) => one.name.toLowerCase() === name.toLowerCase())?.id
}

function stackNameOf({ stack, labels }: CreateDeps, spec: Pick<WorkloadSpec, 'labels'>): string {
  const name = spec.labels[`${labels.labelPrefix}.stack`]?.trim() || stack
  if (isServiceName(name)) return name
  throw new RuntimeError('refused', `${JSON.stringify(name.slice(0, 80))} is no name for a stack`)
}

/** The stack's id; it is made when it is missing. */
async function stackOf(
  deps: CreateDeps,
  client: RancherClient,
  project: RancherProject,
  spec: WorkloadSpec,
  signal: AbortSignal,
): Promise<string> {
  const name = stackNameOf(deps, spec)
  const url = `${project.url}/${stackWord(client)}`
  const found = await stackIdOf(client, url, name, signal)
  if (found !== undefined) return found
  const what = `creating stack ${JSON.stringify(name)}`
  const answer = await client.call({ method: 'POST', url, body: { name } }, signal)
  if (isDone(answer)) return readNamed(answer.json, 'stack').id
  // Somebody else was quicker.
  const other = answer.code === 'NotUnique' ? await stackIdOf(client, url, name, signal) : undefined
  if (other === undefined) throw refusal(what, answer)
  return other
}

interface Post {
  readonly client: RancherClient
  readonly project: RancherProject
  readonly stackId: string
  readonly spec: WorkloadSpec
  readonly what: string
  readonly signal: AbortSignal
}

async function post({ labels, log }: CreateDeps, { client, project, stackId, spec, what, signal }: Post) {
  const launchConfig = toLaunchConfig(spec, labels)
  const parent = client.base.dialect === 'v1' ? { environmentId: stackId } : { stackId }
  const body = { type: 'service', name: spec.name, ...parent, scale: 1, startOnCreate: false, launchConfig }
  const url = `${project.url}/services`
  const answer = await client.call({ method: 'POST', url, body }, new AbortController().signal)
  if (!isDone(answer)) throw refused(what, spec, launchConfig, answer)
  const { id } = readService(answer.json)
  if (signal.aborted) {
    await client.call({ method: 'DELETE', url: `${url}/${id}` }, new AbortController().signal).catch((err) => {
      log.warn({ service: spec.name, err }, 'a service that nobody waits for could not be removed; remove it by hand')
    })
    signal.throwIfAborted()
  }
  return { id }
}

function refused(what: string, { name }: WorkloadSpec, launchConfig: object, answer: RancherAnswer): RuntimeError {
  if (answer.code === 'NotUnique')
    return new RuntimeError('name-in-use', `there is a service ${JSON.stringify(name)} already`)
  const value = (launchConfig as Record<string, unknown>)[answer.field]
  const { code, message } = refusal(what, answer)
  return new RuntimeError(code, value === undefined ? message : `${message}: ${printable(JSON.stringify(value), 100)}`)
}

function toLaunchConfig({ image, networks, labels, env, command, limits = {} }: WorkloadSpec, names: CreateLabels) {
  const ports = portsOf(labels, names)
  return {
    imageUuid: `docker:${image}`,
    labels,
    environment: env,
    networkMode: networks[0] ?? DEFAULT_NETWORK,
    // Rancher picks the public ports; endpoints tell which.
    ...(ports.length > 0 && { ports: ports.map((port) => `${port}/tcp`) }),
    ...(command && { command }),
    ...toLimits(limits),
  }
}

/** What the labels route to must be published, or no proxy outside of Rancher reaches it. */
function portsOf(labels: Readonly<Record<string, string>>, { labelPrefix, portLabel }: CreateLabels): string[] {
  const isPort = (label: string) =>
    label === portLabel ||
    label === `${labelPrefix}.port` ||
    (label.startsWith(`${labelPrefix}.routes.`) && label.endsWith('.port'))
  const values = Object.entries(labels).filter(([label]) => isPort(label))
  return [...new Set(values.map(([, value]) => value.trim()).filter((value) => /^[1-9]\d{0,4}$/.test(value)))].sort()
}

/** The length of a scheduler's turn, of which a limit in CPUs is a part. */
const CPU_PERIOD = 100_000

const toLimits = (limits: WorkloadLimits) => ({
  ...(limits.memoryBytes !== undefined && { memory: limits.memoryBytes }),
  ...(limits.cpus !== undefined && { cpuPeriod: CPU_PERIOD, cpuQuota: Math.round(limits.cpus * CPU_PERIOD) }),
  ...(limits.pids !== undefined && { pidsLimit: limits.pids }),
  ...(limits.capAdd && { capAdd: limits.capAdd }),
  ...(limits.capDrop && { capDrop: limits.capDrop }),
  ...(limits.readOnly && { readOnly: true }),
  ...(limits.noNewPrivileges && { securityOpt: ['no-new-privileges'] }),
})
