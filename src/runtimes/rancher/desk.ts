import { HostlerError, messageOf } from '../../lib/errors.js'
import { isRancherId, type RancherAddress } from '../../lib/rancher/address.js'
import { type RancherAnswer, type RancherClient, withRancherClient } from '../../lib/rancher/client.js'
import type { RancherProject, WithProjects } from '../../lib/rancher/projects.js'
import { type RancherService, readService } from '../../lib/rancher/shapes.js'
import { isGone } from '../../lib/rancher/states.js'
import { RuntimeError, type RuntimeErrorCode } from '../runtime.js'

/** A service, and where it is acted on. */
export interface Found {
  readonly service: RancherService
  readonly project: RancherProject
  readonly url: string
}

/** Asks Rancher, in the words and with the errors of a runtime. */
export interface Desk {
  /** Runs a piece of work with a client of its own. @param what is tried, for messages: "starting service 1s5" */
  work<T>(what: string, signal: AbortSignal, job: (client: RancherClient) => Promise<T>): Promise<T>
  /** By the id of an instance, of which the service's stands before the `@`; undefined when it is not there, or removed. */
  find(client: RancherClient, id: string, signal: AbortSignal): Promise<Found | undefined>
}

export function createDesk(address: RancherAddress, withProjects: WithProjects): Desk {
  /** In which project each service was found last. */
  const homes = new Map<string, string>()

  return {
    async work(what, signal, job) {
      signal.throwIfAborted()
      try {
        return await withRancherClient(address, job)
      } catch (cause) {
        signal.throwIfAborted()
        if (cause instanceof RuntimeError || !(cause instanceof HostlerError)) throw cause
        // What this key may not do will not be done however often it is asked.
        const code = ['rancher-key', 'rancher-project'].includes(cause.code) ? 'refused' : 'unreachable'
        throw new RuntimeError(code, `${what}: ${messageOf(cause)}`, { cause })
      }
    },
    async find(client, instanceId, signal) {
      const id = serviceIdOf(instanceId)
      if (!isRancherId(id)) return undefined
      const found = await withProjects(client, signal, async (projects) => {
        for (const project of homeFirst(projects, homes.get(id))) {
          const url = `${project.url}/services/${id}`
          const answer = await client.read(url, signal)
          if (answer !== undefined) return { service: readService(answer), project, url }
        }
        return undefined
      })
      if (!found || isGone(found.service)) {
        homes.delete(id)
        return undefined
      }
      homes.set(id, found.project.id)
      return found
    },
  }
}

const homeFirst = (projects: readonly RancherProject[], home: string | undefined): RancherProject[] => [
  ...projects.filter(({ id }) => id === home),
  ...projects.filter(({ id }) => id !== home),
]

/** The source calls further addresses of a service `ID@ADDRESS`. */
export const serviceIdOf = (instanceId: string): string => instanceId.split('@')[0] ?? ''

export const isDone = ({ status }: RancherAnswer): boolean => status >= 200 && status < 300

export const refusal = (what: string, { complaint }: RancherAnswer, code: RuntimeErrorCode = 'refused'): RuntimeError =>
  new RuntimeError(code, `${what} was refused by Rancher: ${complaint}`)

export const noSuchService = (id: string): RuntimeError =>
  new RuntimeError('no-such-workload', `there is no service ${JSON.stringify(id.slice(0, 80))} in Rancher`)
