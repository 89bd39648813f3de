import type { Instance } from './instance.js'

/** Who waits for whom, from the labels that Compose leaves on its containers. */

/** What must be the case before the one that depends on it starts, in Compose's words without their prefix. */
export interface Dependency {
  /** The other's key; it may belong to another group. */
  readonly key: string
  readonly condition: 'started' | 'healthy' | 'completed'
}

const DEPENDS_ON = 'com.docker.compose.depends_on'
const PROJECT = 'com.docker.compose.project'
const SERVICE = 'com.docker.compose.service'
/** `docker compose run` copies every label of the service to the container of a single command. */
const ONE_OFF = 'com.docker.compose.oneoff'
/** Swarm leaves the containers of past tasks behind, and makes a new one instead of starting them again. */
const SWARM_TASK = 'com.docker.swarm.task.id'

/** Whether starting it again is what its owner would do. */
export const isRestartable = ({ labels }: Instance): boolean =>
  labels[ONE_OFF]?.toLowerCase() !== 'true' && labels[SWARM_TASK] === undefined

/** Tells a Compose project from every other; undefined for what is no part of one. Nobody depends on another project's. */
export function projectOf({ source, labels }: Instance): string | undefined {
  const project = labels[PROJECT]
  if (project === undefined || labels[ONE_OFF]?.toLowerCase() === 'true') return undefined
  // With its length, for a name may hold anything.
  return `${source}\n${project.length}\n${project}`
}

/** Tells a service of a Compose project from every other; undefined for what Compose did not make. */
export function serviceOf(instance: Instance, service = instance.labels[SERVICE]): string | undefined {
  const project = projectOf(instance)
  return project === undefined || service === undefined ? undefined : `${project}\n${service}`
}

const CONDITIONS: ReadonlyMap<string, Dependency['condition']> = new Map([
  ['service_started', 'started'],
  ['service_healthy', 'healthy'],
  ['service_completed_successfully', 'completed'],
])

const NOTHING: readonly Dependency[] = []

/**
 * Compose writes `db:service_healthy:false,cache:service_started:true`; the last word says whether to restart along.
 * @param keysOf the containers of each service
 */
export function dependenciesOf(
  instance: Instance,
  keysOf: ReadonlyMap<string, readonly string[]>,
): readonly Dependency[] {
  const text = instance.labels[DEPENDS_ON]
  if (!text) return NOTHING
  const conditions = new Map<string, Dependency['condition']>()
  for (const entry of text.split(',')) {
    const [service = '', word = ''] = entry.trim().split(':')
    if (!conditions.has(service)) conditions.set(service, CONDITIONS.get(word) ?? 'started')
  }
  return [...conditions].flatMap(([service, condition]) =>
    (keysOf.get(serviceOf(instance, service) ?? '') ?? []).map((key) => ({ key, condition })),
  )
}

/**
 * Leaves out each dependency that would close a circle, so that nobody waits for himself. Depth first in the order given:
 * of a circle, what is visited first waits for the others.
 * @returns in an order in which each comes after what it depends on
 */
export function withoutCircles(
  dependsOn: Iterable<readonly [string, readonly Dependency[]]>,
): ReadonlyMap<string, readonly Dependency[]> {
  const all = new Map(dependsOn)
  const done = new Map<string, readonly Dependency[]>()
  // Not by recursion: the labels are somebody else's text, and a chain may be as long as there are containers.
  const open = new Map<string, { readonly left: Iterator<Dependency>; readonly kept: Dependency[] }>()
  const enter = (key: string) => open.set(key, { left: (all.get(key) ?? NOTHING)[Symbol.iterator](), kept: [] })
  for (const first of all.keys()) {
    if (done.has(first)) continue
    if (all.get(first)?.length === 0) {
      done.set(first, NOTHING)
      continue
    }
    const path = [first]
    enter(first)
    for (let key = path.at(-1); key !== undefined; key = path.at(-1)) {
      const frame = open.get(key)
      const next = frame?.left.next()
      if (!frame || !next || next.done) {
        done.set(key, frame?.kept ?? NOTHING)
        open.delete(key)
        path.pop()
      } else if (all.has(next.value.key) && !open.has(next.value.key)) {
        frame.kept.push(next.value)
        if (!done.has(next.value.key)) {
          path.push(next.value.key)
          enter(next.value.key)
        }
      }
    }
  }
  return done
}
