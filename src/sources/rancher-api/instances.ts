import type { Counted } from '../../lib/rancher/census.js'
import { type RancherService, readLabels, readService } from '../../lib/rancher/shapes.js'
import { healthOf, isChanging, isGone, stateOf } from '../../lib/rancher/states.js'
import type { Instance } from '../../model/instance.js'
import { placesOf } from './ports.js'

export interface Read {
  /** Sorted by id. */
  readonly instances: readonly Instance[]
  /** One of them starts or stops now. */
  readonly isChanging: boolean
}

/**
 * The relevant services as facts: one instance for each address that a service is published at. The first has the service's
 * id, the others `ID@ADDRESS`: whoever acts on a service finds it by what stands before the `@`.
 * @throws HostlerError `rancher-shape`: then nothing of the answer is to be trusted
 */
export function readInstances(
  counted: readonly Counted[],
  isRelevant: (labels: Readonly<Record<string, string>>) => boolean,
): Read {
  const services = counted
    .filter(({ answer }) => isRelevant(readLabels(answer)))
    .map((one): Located => ({ ...one, service: readService(one.answer) }))
    .filter(({ service }) => !isGone(service))
    .sort((a, b) => a.service.createdAt - b.service.createdAt || (a.service.id < b.service.id ? -1 : 1))
  const takeName = createNames()
  const instances = services.flatMap((one) => toInstances(one, takeName(one)))
  return {
    instances: instances.sort((a, b) => (a.id < b.id ? -1 : 1)),
    isChanging: services.some(({ service }) => isChanging(service)),
  }
}

interface Located extends Counted {
  readonly service: RancherService
}

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

function toInstances({ service, stack, project }: Located, name: string): Instance[] {
  const common = {
    source: 'rancher-api',
    ...(stack !== undefined && { stack }),
    service: service.name,
    labels: service.launchConfig?.labels ?? {},
    ...conditionOf(service),
    createdAt: service.createdAt,
    networks: [],
    environment: project.name,
  }
  return placesOf(service).map(({ key, ports }, index): Instance => {
    const suffix = index === 0 ? '' : `@${key}`
    return { id: `${service.id}${suffix}`, name: `${name}${suffix}`, ...common, ports }
  })
}

/** What is being activated has been started, and nothing of it has ended, as `restarting` would say. */
const conditionOf = (service: RancherService): Pick<Instance, 'state' | 'health'> =>
  service.state === 'activating'
    ? { state: 'running', health: 'starting' }
    : { state: stateOf(service), health: healthOf(service) }
