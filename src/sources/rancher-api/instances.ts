import type { Clock } from '../../lib/clock.js'
import type { Counted } from '../../lib/rancher/census.js'
import { type RancherService, readLabels, readService } from '../../lib/rancher/shapes.js'
import { healthOf, isChanging, isGone, stateOf } from '../../lib/rancher/states.js'
import type { Instance } from '../../model/instance.js'
import { placesOf } from './places.js'
import { readPortMap } from './port-map.js'
import { createRoster, type Roster } from './roster.js'

export interface Read {
  /** Sorted by id. */
  readonly instances: readonly Instance[]
  /** One of them starts or stops now. */
  readonly isChanging: boolean
}

/** What is changing is looked at more often; what never ends is not waited for like that. */
export const HURRY_MS = 60_000

/**
 * Reads the relevant services as facts: one instance for each container and address that a service is published at. The
 * first has the service's id, the others `ID@ADDRESS` or `ID@ADDRESS:PORT`: whoever acts on a service finds it by what
 * stands before the `@`.
 * @throws HostlerError `rancher-shape`: then nothing of the answer is to be trusted
 */
export function createReader(isRelevant: (labels: Readonly<Record<string, string>>) => boolean, clock: Clock) {
  const roster = createRoster()
  const waiting = createWaiting(clock)

  return function read(counted: readonly Counted[]): Read {
    const services = counted
      .filter(({ answer }) => isRelevant(readLabels(answer)))
      .map((one): Located => ({ ...one, service: readService(one.answer) }))
      .filter(({ service }) => !isGone(service))
      .sort((a, b) => a.service.createdAt - b.service.createdAt || (a.service.id < b.service.id ? -1 : 1))
    const awaited = waiting(services.map(({ service }) => service))
    const takeName = createNames()
    const instances = services.flatMap((one) => {
      const condition = awaited.has(one.service.id) ? COMING : conditionOf(one.service)
      return toInstances(one, { name: takeName(one), condition, roster })
    })
    roster.keep(new Set(services.map(({ service }) => service.id)))
    return {
      instances: instances.sort((a, b) => (a.id < b.id ? -1 : 1)),
      isChanging: awaited.size > 0 || services.some(({ service }) => isChanging(service)),
    }
  }
}

interface Located extends Counted {
  readonly service: RancherService
}

/**
 * Which services run and have no endpoint yet, though they publish ports: Rancher tells endpoints after everything else. For
 * as long as that may take, and no longer.
 */
function createWaiting(clock: Clock) {
  let since: ReadonlyMap<string, number> = new Map()
  return (services: readonly RancherService[]): ReadonlySet<string> => {
    const now = clock.elapsed()
    const bare = services.filter((service) => isUp(service) && readPortMap(service).publishes && !hasPlace(service))
    since = new Map(bare.map(({ id }) => [id, since.get(id) ?? now]))
    return new Set([...since].flatMap(([id, at]) => (now - at < HURRY_MS ? id : [])))
  }
}

const isUp = (service: RancherService): boolean => {
  const { state, health } = conditionOf(service)
  return state === 'running' && health !== 'unhealthy'
}

const hasPlace = (service: RancherService): boolean => placesOf(service).some(({ address }) => address !== '')

/** The oldest service of a name is called by it alone; neither a service's nor a stack's name has a dot in it. */
function createNames() {
  const taken = new Set<string>()
  return ({ service: { id, name }, stack = id, project }: Located): string => {
    const names = [name, `${name}.${stack}`, `${name}.${stack}.${project.name}`, `${name}.${stack}.${id}`]
    const free = names.find((one) => !taken.has(one)) ?? id
    taken.add(free)
    return free
  }
}

interface Telling {
  readonly name: string
  readonly condition: Condition
  readonly roster: Roster
}

function toInstances({ service, stack, project }: Located, { name, condition, roster }: Telling): Instance[] {
  const common = {
    source: 'rancher-api',
    ...(stack !== undefined && { stack }),
    service: service.name,
    labels: service.launchConfig?.labels ?? {},
    ...condition,
    createdAt: service.createdAt,
    networks: [],
    environment: project.name,
  }
  return roster.assign(service, placesOf(service)).map(
    ({ place, suffix }): Instance => ({
      ...{ id: `${service.id}${suffix}`, name: `${name}${suffix}` },
      ...common,
      ports: place.ports,
    }),
  )
}

type Condition = Pick<Instance, 'state' | 'health'>

const COMING: Condition = { state: 'running', health: 'starting' }

/** What is being activated has been started, and nothing of it has ended, as `restarting` would say. */
const conditionOf = (service: RancherService): Condition =>
  service.state === 'activating' ? COMING : { state: stateOf(service), health: healthOf(service) }
