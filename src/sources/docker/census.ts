import type { Logger } from 'pino'
import { HostlerError } from '../../lib/errors.js'
import type { EngineClient } from './client.js'
import { type Container, mergeListed } from './container.js'
import { fromInspect, fromListEntry } from './decode.js'

/** One look at everything: a single list call, and an inspect for each container of which the list tells too little. */
export interface Census {
  /** Those that could take part. */
  readonly ours: readonly Container[]
  /** Everything that was listed. */
  find(matches: (container: Container) => boolean): Container | undefined
}

export interface CensusDeps {
  readonly client: EngineClient
  readonly isRelevant: (labels: Readonly<Record<string, string>>) => boolean
  readonly known: (id: string) => Container | undefined
  readonly log: Logger
}

/** @throws HostlerError when the list cannot be had or is none */
export async function takeCensus(deps: CensusDeps, signal: AbortSignal): Promise<Census> {
  const { entries, podman } = await deps.client.list(signal)
  const listed = entries.map((entry) => decode(entry, podman))
  const ours = listed.filter(({ labels }) => deps.isRelevant(labels))
  const looked = await Promise.all(ours.map((container) => completed(container, podman, deps, signal)))
  return {
    ours: looked.filter((container) => container !== undefined),
    find: (matches) => listed.find(matches),
  }
}

function decode(entry: unknown, podman: boolean): Container {
  const container = fromListEntry(entry, podman)
  if (!container) throw new HostlerError('DOCKER_ANSWER', 'the list of containers has an entry without an id')
  return container
}

/** Undefined: it is gone by now. One that cannot be inspected is taken as listed, and looked at again next time. */
async function completed(listed: Container, podman: boolean, deps: CensusDeps, signal: AbortSignal) {
  const known = deps.known(listed.id)
  const merged = mergeListed(listed, known, podman)
  if (merged.complete && !(podman && healthIsOpen(merged, known))) return merged
  try {
    const answer = await deps.client.inspect(listed.id, signal)
    return answer === undefined ? undefined : (fromInspect(answer) ?? merged)
  } catch (error) {
    signal.throwIfAborted()
    deps.log.warn(
      { err: error, container: listed.name },
      'a container cannot be inspected; some of its facts are missing',
    )
    return merged
  }
}

/** Podman's list never tells health, so a lost event would never be made good. */
const healthIsOpen = (merged: Container, known: Container | undefined): boolean =>
  merged.state === 'running' && (known?.state !== 'running' || merged.health !== 'none')
