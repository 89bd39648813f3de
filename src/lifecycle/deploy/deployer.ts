import { createHash } from 'node:crypto'
import { HostlerError } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'
import { type PullStep, type Runtime, RuntimeError, type Workload, type WorkloadSpec } from '../../runtimes/runtime.js'
import type { Profiles } from './profiles.js'
import type { DeployRequest } from './request.js'

/**
 * Containers made on request. Each carries the label `origin=spawner`, as predecessor 2 had it, and none without it is ever
 * looked at, started or removed: to a caller it does not exist.
 */
export interface Deployer {
  /**
   * Creates and starts. The same name with the same content gives the same id again; names are compared where the runtime
   * does so.
   * @throws RuntimeError; HostlerError `DEPLOY_CONFLICT` when the name has other content, `DEPLOY_REFUSED` for what is not allowed
   */
  deploy(
    request: DeployRequest,
    progress: (step: PullStep) => void,
    signal: AbortSignal,
  ): Promise<{ readonly id: string }>
  list(signal: AbortSignal): Promise<Workload[]>
  /** @throws HostlerError `AMBIGUOUS` when several of them have that name */
  start(idOrName: string, signal: AbortSignal): Promise<{ readonly id: string }>
  /** @throws HostlerError `AMBIGUOUS` */
  remove(idOrName: string, signal: AbortSignal): Promise<void>
}

export interface DeployerInputs {
  readonly runtime: Runtime
  readonly profiles: Profiles
  readonly pull: boolean
  /** Patterns; empty: every image. */
  readonly images: readonly string[]
  readonly foreignHealthChecks: boolean
  readonly removeVolumes: boolean
  readonly log: Logger
}

export const ORIGIN = { origin: 'spawner' } as const
const CONTENT = 'io.hostler.content'

export function createDeployer(inputs: DeployerInputs): Deployer {
  const { runtime, log } = inputs
  /** One call at a time for each name. */
  const turns = new Map<string, Promise<unknown>>()

  function inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turn = (turns.get(name) ?? Promise.resolve()).then(work, work)
    turns.set(name, turn)
    const forget = () => void (turns.get(name) === turn && turns.delete(name))
    turn.then(forget, forget)
    return turn
  }

  async function ours(idOrName: string, signal: AbortSignal): Promise<Workload> {
    const workload = await runtime.inspect(idOrName, signal)
    const isMeant = workload !== undefined && (workload.id === idOrName || !runtime.namesake)
    const found = isMeant ? [workload].filter(isOurs) : await named(idOrName, signal)
    if (found.length > 1) {
      const ids = found.map(({ id }) => id).join(', ')
      throw new HostlerError('AMBIGUOUS', `Several that were deployed here have that name; write one of ${ids}.`)
    }
    if (found[0]) return found[0]
    throw new RuntimeError('no-such-workload', 'No container that was deployed here has that name or id.')
  }

  /** Ours of that name, of which there may be several. */
  async function named(name: string, signal: AbortSignal): Promise<Workload[]> {
    return runtime.namesake ? (await runtime.list(ORIGIN, signal)).filter((one) => one.name === name) : []
  }

  async function create(spec: WorkloadSpec, progress: (step: PullStep) => void, signal: AbortSignal) {
    try {
      return await runtime.create(spec, signal)
    } catch (error) {
      if (!(error instanceof RuntimeError) || error.code !== 'no-such-image' || !inputs.pull) throw error
      log.info({ image: spec.image }, 'the image is missing; pulling it')
      await runtime.pull(spec.image, progress, signal)
      return runtime.create(spec, signal)
    }
  }

  async function deploy(request: DeployRequest, progress: (step: PullStep) => void, signal: AbortSignal) {
    const spec = specOf(request, inputs)
    const known = await (runtime.namesake?.(spec, signal) ?? runtime.inspect(spec.name, signal))
    if (known) {
      assertSame(known, spec)
      await runtime.start(known.id, signal)
      return { id: known.id }
    }
    const { id } = await create(spec, progress, signal)
    try {
      await runtime.start(id, signal)
    } catch (error) {
      // Nothing half made stays: the next call begins anew.
      await runtime.remove(id, { volumes: true }, AbortSignal.timeout(CLEAN_UP_MS)).catch(() => undefined)
      throw error
    }
    log.info({ container: spec.name, image: spec.image, id: id.slice(0, 12) }, 'deployed')
    return { id }
  }

  return {
    deploy: (request, progress, signal) => inTurn(request.name, () => deploy(request, progress, signal)),
    list: (signal) => runtime.list(ORIGIN, signal),
    async start(idOrName, signal) {
      const { id, name } = await ours(idOrName, signal)
      await inTurn(name, () => runtime.start(id, signal))
      return { id }
    },
    async remove(idOrName, signal) {
      const { id, name } = await ours(idOrName, signal)
      await inTurn(name, () => runtime.remove(id, { volumes: inputs.removeVolumes }, signal))
      log.info({ container: name, id: id.slice(0, 12) }, 'removed on request')
    },
  }
}

const CLEAN_UP_MS = 30_000

const isOurs = ({ labels }: Workload): boolean => labels['origin'] === ORIGIN.origin

function assertSame(known: Workload, { name, labels }: WorkloadSpec): void {
  if (!isOurs(known)) throw new RuntimeError('name-in-use', `The name ${name} is in use. Choose another one.`)
  if (known.labels[CONTENT] === labels[CONTENT]) return
  throw new HostlerError(
    'DEPLOY_CONFLICT',
    `${name} was deployed with other content. Remove it first, or choose another name.`,
  )
}

function specOf(request: DeployRequest, inputs: DeployerInputs): WorkloadSpec {
  const { name, image, network, labels, envs, command, profile } = request
  const limits = inputs.profiles.get(profile ?? 'default')
  if (profile !== undefined && limits === undefined) {
    const known = [...inputs.profiles.keys()].join(', ') || 'there are none; see deploy.profiles'
    throw new HostlerError('DEPLOY_REFUSED', `No profile has that name (known: ${known}).`)
  }
  if (!isAllowedImage(image, inputs.images))
    throw new HostlerError('DEPLOY_REFUSED', 'That image may not be deployed here; see deploy.images.')
  if (!inputs.foreignHealthChecks) assertOwnHealthCheck(name, labels)
  const spec = { name, image, networks: [network], labels: { ...labels, ...ORIGIN }, env: envs }
  const whole = { ...spec, ...(command && { command }), ...(limits && { limits }) }
  return { ...whole, labels: { ...whole.labels, [CONTENT]: digest(whole) } }
}

function isAllowedImage(image: string, patterns: readonly string[]): boolean {
  const matches = (pattern: string) => new RegExp(`^${pattern.split('*').map(escapeRegex).join('.*')}$`).test(image)
  return patterns.length === 0 || patterns.some(matches)
}

const escapeRegex = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

const HEALTH_CHECKS = ['health-check', 'healthcheck']

/** A probe goes where the label says, with our address as the sender: into networks that the caller cannot reach, say. */
function assertOwnHealthCheck(name: string, labels: Readonly<Record<string, string>>): void {
  for (const label of HEALTH_CHECKS) {
    const value = labels[label]
    if (value === undefined || value.startsWith('/')) continue
    const host = URL.canParse(value) ? new URL(value).hostname : ''
    if ([name.toLowerCase(), 'localhost', '127.0.0.1', '[::1]'].includes(host)) continue
    throw new HostlerError(
      'DEPLOY_REFUSED',
      `The label ${label} must point at the container itself: write http://${name}:PORT/PATH.`,
    )
  }
}

/** Whatever the order of keys was. */
const digest = (value: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest('hex')

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}
