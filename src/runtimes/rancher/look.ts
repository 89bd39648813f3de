import type { Census, Counted } from '../../lib/rancher/census.js'
import type { RancherClient } from '../../lib/rancher/client.js'
import { type RancherService, readLabels, readService } from '../../lib/rancher/shapes.js'
import { healthOf, isGone, stateOf } from '../../lib/rancher/states.js'
import type { Workload } from '../runtime.js'
import type { Desk } from './desk.js'

/** Asks about services and changes nothing. */
export interface Look {
  inspect(idOrName: string, signal: AbortSignal): Promise<Workload | undefined>
  list(labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Workload[]>
}

/** @param stack whose services are meant when a name is in several stacks */
export function createLook(desk: Desk, census: Census, stack: string): Look {
  async function byName(client: RancherClient, name: string, signal: AbortSignal): Promise<Workload | undefined> {
    if (!isServiceName(name)) return undefined
    const counted = await census.services(client, signal, `name=${name}`)
    const found = counted
      .map((one) => ({ ...one, service: readService(one.answer) }))
      .filter(({ service }) => service.name === name && !isGone(service))
      .sort((a, b) => rank(a) - rank(b) || a.service.createdAt - b.service.createdAt)
    return found[0] && toWorkload(found[0].service)
  }
  const rank = (one: Counted): number => (one.stack === stack ? 0 : 1)

  return {
    inspect: (idOrName, signal) =>
      desk.work(`looking for service ${JSON.stringify(idOrName.slice(0, 80))}`, signal, async (client) => {
        const found = await desk.find(client, idOrName, signal)
        return found ? toWorkload(found.service) : byName(client, idOrName, signal)
      }),
    list: (labels, signal) =>
      desk.work('listing the services', signal, async (client) => {
        const counted = await census.services(client, signal)
        const wanted = Object.entries(labels)
        return counted
          .filter(({ answer }) => {
            const own = readLabels(answer)
            return wanted.every(([name, value]) => own[name] === value)
          })
          .map(({ answer }) => readService(answer))
          .filter((service) => !isGone(service))
          .map(toWorkload)
          .sort((a, b) => (a.name < b.name ? -1 : 1))
      }),
  }
}

/** What Rancher takes for one. */
export const isServiceName = (name: string): boolean =>
  /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(name) && !name.includes('--')

/** Rancher tells neither when a service was started nor how its containers ended. */
export function toWorkload(service: RancherService): Workload {
  const { id, name, launchConfig, createdAt } = service
  return {
    ...{ id, name, createdAt, state: stateOf(service), health: healthOf(service) },
    image: (launchConfig?.imageUuid ?? '').replace(/^docker:/, ''),
    labels: launchConfig?.labels ?? {},
    env: launchConfig?.environment ?? {},
    networks: [launchConfig?.networkMode || DEFAULT_NETWORK],
    ...{ startedAt: 0, endedAt: 0, restarts: 0 },
  }
}

export const DEFAULT_NETWORK = 'managed'
