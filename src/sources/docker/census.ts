import type { Logger } from 'pino'
import { HostlerError } from '../../lib/errors.js'
import type { EngineClient } from './client.js'
import { type Container, mergeListed } from './container.js'
import { fromInspect, fromListEntry } from './decode.js'
import { sameContainer } from './same.js'

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
  readonly keepsInspect: boolean
  readonly log: Logger
}

/** @throws HostlerError when the list cannot be had or is none */
export async function takeCensus(deps: CensusDeps, signal: AbortSignal): Promise<Census> {
  const all: Container[] = []
  let podman = false
  await deps.client.list((entry, isPodman) => {
    podman = isPodman
    all.push(merge(entry, isPodman, deps.known))
  }, signal)
  const ours = all.filter(({ labels }) => deps.isRelevant(labels))
  const looked = await Promise.all(ours.map((container) => completed(container, podman, deps, signal)))
  return { ours: looked.filter((container) => container !== undefined), find: (matches) => all.find(matches) }
}

/** What is known already stays the same object, so that a pass without news leaves no memory behind. */
function merge(entry: unknown, podman: boolean, knownOf: CensusDeps['known']): Container {
  const listed = fromListEntry(entry, podman)
  if (!listed) throw new HostlerError('DOCKER_ANSWER', 'the list of containers has an entry without an id')
  const known = knownOf(listed.id)
  const merged = mergeListed(listed, known, podman)
  return known && sameContainer(merged, known) ? known : merged
}

/** Undefined: it is gone by now. One that cannot be inspected is taken as listed, and looked at again next time. */
async function completed(merged: Container, podman: boolean, deps: CensusDeps, signal: AbortSignal) {
  const isMissing = deps.keepsInspect && !merged.inspect
  if (merged.complete && !isMissing && !(podman && healthIsOpen(merged, deps.known(merged.id)))) return merged
  try {
    const answer = await deps.client.inspect(merged.id, signal)
    return answer === undefined ? undefined : (fromInspect(answer, deps.keepsInspect) ?? merged)
  } catch (error) {
    signal.throwIfAborted()
    deps.log.warn(
      { err: error, container: merged.name },
      'a container cannot be inspected; some of its facts are missing',
    )
    return merged
  }
}

/** Podman's list never tells health, so a lost event would never be made good. */
const healthIsOpen = (merged: Container, known: Container | undefined): boolean =>
  merged.state === 'running' && (known?.state !== 'running' || merged.health !== 'none')
