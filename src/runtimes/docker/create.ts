import type { Logger } from 'pino'
import { fields, items, string } from '../../lib/docker/fields.js'
import { printable } from '../../lib/printable.js'
import { orAborted } from '../../lib/signals.js'
import { RuntimeError, type WorkloadLimits, type WorkloadSpec } from '../runtime.js'
import { type Engine, type EngineRequest, isDone } from './engine.js'
import { isReference } from './look.js'
import type { Timeouts } from './timeouts.js'

interface CreateDeps {
  readonly engine: Engine
  readonly timeouts: Timeouts
  readonly log: Logger
}

/**
 * Creates a container and joins it to its networks. Whatever fails, and whenever the signal fires, no half-made one is
 * left: an engine does not tell what it made of a request that was cut off, so the request is seen through to its end,
 * and what came of it removed, behind the back of a caller who has gone.
 */
export async function createContainer(
  deps: CreateDeps,
  spec: WorkloadSpec,
  signal: AbortSignal,
): Promise<{ id: string }> {
  signal.throwIfAborted()
  return orAborted(make(deps, spec, signal), signal)
}

async function make(deps: CreateDeps, spec: WorkloadSpec, signal: AbortSignal): Promise<{ id: string }> {
  validate(spec)
  // Docker creates a container for a network that does not exist, and refuses only to start it.
  for (const network of spec.networks) await requireNetwork(deps, network, signal)
  const id = await post(deps, spec)
  try {
    for (const network of spec.networks.slice(1)) await join(deps, spec.name, id, network, signal)
    signal.throwIfAborted()
  } catch (error) {
    await discard(deps, spec.name, id)
    throw error
  }
  return { id }
}

function validate({ name, env }: WorkloadSpec): void {
  if (!isReference(name)) throw new RuntimeError('refused', `${JSON.stringify(name)} is no name for a container`)
  const wrong = Object.keys(env).find((variable) => variable === '' || variable.includes('='))
  if (wrong !== undefined)
    throw new RuntimeError('refused', `${JSON.stringify(wrong)} is no name for an environment variable`)
}

const noSuchNetwork = (network: string): RuntimeError =>
  new RuntimeError('no-such-network', `there is no network ${JSON.stringify(network)}`)

async function requireNetwork({ engine, timeouts }: CreateDeps, network: string, signal: AbortSignal): Promise<void> {
  if (!isReference(network)) throw noSuchNetwork(network)
  const request: EngineRequest = {
    what: `inspecting network ${JSON.stringify(network)}`,
    ...{ method: 'GET', path: `/networks/${network}`, timeoutMs: timeouts.inspectMs },
  }
  const answer = await engine.call(request, signal)
  if (answer.status === 404) throw noSuchNetwork(network)
  if (!isDone(answer)) throw engine.refusal(request, answer)
  // Also found by the start of an id, which a network's name need not be.
  const { Name, Id } = fields(answer.json()) as { Name?: unknown; Id?: unknown }
  if (Name !== network && Id !== network) throw noSuchNetwork(network)
}

async function post({ engine, timeouts, log }: CreateDeps, spec: WorkloadSpec): Promise<string> {
  const request: EngineRequest = {
    what: `creating container ${JSON.stringify(spec.name)}`,
    ...{ method: 'POST', path: '/containers/create', timeoutMs: timeouts.createMs },
    ...{ query: { name: spec.name }, body: toBody(spec) },
  }
  const answer = await engine.call(request, new AbortController().signal)
  if (!isDone(answer)) {
    const { status, complaint } = answer
    if (/\balready in use\b/.test(complaint))
      throw new RuntimeError('name-in-use', `there is a container ${JSON.stringify(spec.name)} already`)
    if (status === 404 && /\bno such image\b/i.test(complaint))
      throw new RuntimeError(
        'no-such-image',
        `there is no image ${JSON.stringify(printable(spec.image, 200))}; pull it`,
      )
    throw engine.refusal(request, answer, /\bnetwork\b.*\bnot found\b/.test(complaint) ? 'no-such-network' : 'refused')
  }
  const { Id, Warnings } = fields(answer.json()) as { Id?: unknown; Warnings?: unknown }
  const warnings = items(Warnings).map((warning) => printable(string(warning), 300))
  if (warnings.length > 0) log.warn({ container: spec.name, warnings }, 'the engine created a container with warnings')
  if (string(Id) === '') throw new RuntimeError('unreachable', `${request.what} was answered without an id`)
  return string(Id)
}

async function join(
  { engine, timeouts }: CreateDeps,
  name: string,
  id: string,
  network: string,
  signal: AbortSignal,
): Promise<void> {
  const request: EngineRequest = {
    what: `joining container ${JSON.stringify(name)} to network ${JSON.stringify(network)}`,
    ...{ method: 'POST', path: `/networks/${network}/connect`, timeoutMs: timeouts.actMs, body: { Container: id } },
  }
  const answer = await engine.call(request, signal)
  if (answer.status === 404) throw noSuchNetwork(network)
  if (!isDone(answer)) throw engine.refusal(request, answer)
}

/** Not by the caller's signal, which may be what led here. */
async function discard({ engine, timeouts, log }: CreateDeps, name: string, id: string): Promise<void> {
  const request: EngineRequest = {
    what: `removing the half-made container ${JSON.stringify(name)}`,
    ...{ method: 'DELETE', path: `/containers/${id}`, timeoutMs: timeouts.removeMs, query: { v: 1, force: 1 } },
  }
  try {
    const answer = await engine.call(request, new AbortController().signal)
    if (!isDone(answer) && answer.status !== 404) throw engine.refusal(request, answer)
  } catch (err) {
    log.warn({ container: name, err }, 'a half-made container could not be removed; remove it by hand')
  }
}

/** An app that asks what it is called hears its name rather than an id; a longer one could not be set. */
const HOSTNAME = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/

function toBody({ name, image, networks, labels, env, command, limits = {} }: WorkloadSpec): Record<string, unknown> {
  const [network] = networks
  return {
    Image: image,
    ...(HOSTNAME.test(name) && { Hostname: name }),
    Labels: labels,
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...(command && { Cmd: command }),
    HostConfig: { ...(network !== undefined && { NetworkMode: network }), ...toHostConfig(limits) },
  }
}

const toHostConfig = (limits: WorkloadLimits): Record<string, unknown> => ({
  ...(limits.memoryBytes !== undefined && { Memory: limits.memoryBytes }),
  ...(limits.cpus !== undefined && { NanoCpus: Math.round(limits.cpus * 1e9) }),
  ...(limits.pids !== undefined && { PidsLimit: limits.pids }),
  ...(limits.capAdd && { CapAdd: limits.capAdd }),
  ...(limits.capDrop && { CapDrop: limits.capDrop }),
  ...(limits.readOnly && { ReadonlyRootfs: true }),
  ...(limits.noNewPrivileges && { SecurityOpt: ['no-new-privileges'] }),
})
