import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../ports.js'
import { createCrew } from './crew.js'

/** The image whose containers the double can run. */
export const RANCHER_IMAGE = 'hostler-app:latest'

export interface Endpoint {
  readonly ipAddress: string
  readonly port: number
  readonly instanceId?: string
}

export interface LaunchConfig {
  imageUuid?: string
  labels?: Record<string, unknown> | null
  environment?: Record<string, string> | null
  ports?: string[] | null
  command?: string[] | null
  networkMode?: string
  stopTimeout?: number
  healthCheck?: object | null
  [more: string]: unknown
}

export interface Service {
  readonly id: string
  readonly uuid: string
  readonly projectId: string
  readonly stackId: string
  readonly createdTS: number
  name: string
  scale: number
  state: string
  healthState: string | null
  transitioning: 'yes' | 'no' | 'error'
  transitioningMessage: string | null
  launchConfig: LaunchConfig | null
  /** Its sidekicks'. */
  secondaryLaunchConfigs: readonly LaunchConfig[] | null
  publicEndpoints: readonly Endpoint[] | null
}

export interface Stack {
  readonly id: string
  readonly projectId: string
  name: string
}

export interface Project {
  readonly id: string
  name: string
  /** Other than `active`, it is listed all the same, but nothing of it is told. */
  state: string
}

/** What Rancher has, and what becomes of it: an action changes the state at once, and is done a moment later. */
export interface World {
  readonly projects: Map<string, Project>
  readonly stacks: Map<string, Stack>
  readonly services: Map<string, Service>
  /** How long each transition takes. */
  transitMs: number
  /** How much later than everything else endpoints are told. */
  endpointsMs: number
  /** How long a container with a health check takes to be well. */
  healthMs: number
  project(name: string): Project
  stack(name: string, projectId: string): Stack
  service(name: string, stack: Stack, more?: Partial<Service>): Service
  actions(service: Service): string[]
  act(service: Service, action: string): void
  /** Changes what is named; another scale is brought about while it runs. */
  update(service: Service, more: Partial<Service>): void
  /** Where its first container listens, while it runs. */
  portOf(id: string): number | undefined
  /** How often a container of the service was started. */
  starts(id: string): number
  /** Ends every process. */
  close(): Promise<void>
}

/** From which states each action may be taken. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  activate: ['inactive', 'restarting'],
  deactivate: ['active', 'activating', 'updating-active', 'updating-inactive', 'restarting'],
  finishupgrade: ['upgraded'],
  restart: ['active'],
  remove: [
    ...['inactive', 'registering', 'active', 'activating', 'updating-inactive', 'updating-active', 'upgrading'],
    ...['deactivating', 'requested', 'canceled-upgrade', 'upgraded', 'finishing-upgrade', 'restarting'],
  ],
}

const RESTART_MS = 200

export function createWorld(): World {
  /** Every transition under way, so that none outlives the double. */
  const underWay = new Set<Promise<void>>()
  const closing = new AbortController()
  const pause = (ms: number) => delay(ms, undefined, { signal: closing.signal }).catch(() => undefined)
  const crew = createCrew({ healthMs: () => world.healthMs, pause, changed, ended })
  let number = 100_000
  const nextId = (kind: string) => `1${kind}${++number}`

  const world: World = {
    ...{ projects: new Map(), stacks: new Map(), services: new Map() },
    ...{ transitMs: 40, endpointsMs: 20, healthMs: 40 },
    project(name) {
      const found = [...world.projects.values()].find((project) => project.name === name)
      const project = found ?? { id: nextId('a'), name, state: 'active' }
      world.projects.set(project.id, project)
      return project
    },
    stack(name, projectId) {
      const all = [...world.stacks.values()]
      const found = all.find((stack) => stack.name === name && stack.projectId === projectId)
      const stack = found ?? { id: nextId('st'), name, projectId }
      world.stacks.set(stack.id, stack)
      return stack
    },
    service(name, stack, more = {}) {
      const { id: stackId, projectId } = stack
      const service: Service = {
        ...{ id: nextId('s'), uuid: randomUUID(), projectId, stackId, createdTS: Date.now(), name, scale: 1 },
        ...{ state: 'inactive', healthState: 'unhealthy', transitioning: 'no', transitioningMessage: null },
        ...{ launchConfig: {}, secondaryLaunchConfigs: null, publicEndpoints: null },
        ...more,
      }
      world.services.set(service.id, service)
      if (service.state === 'registering') later(service, 'registering', () => register(service))
      return service
    },
    actions: ({ state }) => Object.keys(ACTIONS).filter((action) => ACTIONS[action]?.includes(state)),
    act(service, action) {
      if (action === 'activate') activate(service)
      else if (action === 'deactivate') deactivate(service)
      else if (action === 'finishupgrade') settle(service, 'active', 'healthy')
      else if (action === 'restart') restart(service)
      else if (action === 'remove') remove(service)
    },
    update(service, more) {
      const isScaled = more.scale !== undefined && more.scale !== service.scale && service.state === 'active'
      Object.assign(service, more)
      if (isScaled) begin(service, 'updating-active', () => scale(service))
    },
    portOf: crew.portOf,
    starts: crew.starts,
    async close() {
      closing.abort()
      await Promise.all(underWay)
      await crew.close()
    },
  }

  /** After the transition's time, unless something else has begun meanwhile. */
  function later(service: Service, state: string, work: () => void | Promise<void>): void {
    const turn = pause(world.transitMs).then(() =>
      closing.signal.aborted || service.state !== state ? undefined : work(),
    )
    track(turn)
  }
  function track(work: Promise<void>): void {
    underWay.add(work)
    work.finally(() => underWay.delete(work))
  }
  function settle(service: Service, state: string, healthState: string): void {
    Object.assign(service, { state, healthState, transitioning: 'no', transitioningMessage: null })
  }
  function begin(service: Service, state: string, work: () => void | Promise<void>): void {
    Object.assign(service, { state, transitioning: 'yes', transitioningMessage: `In Progress: ${state}` })
    later(service, state, work)
  }

  function activate(service: Service): void {
    service.healthState = 'initializing'
    begin(service, 'activating', async () => {
      const { imageUuid, command } = service.launchConfig ?? {}
      const image = String(imageUuid).replace(/^docker:/, '')
      if (image !== RANCHER_IMAGE) return fail(service, `Image [${image}] failed to pull: not found`)
      if (command?.[0]) return fail(service, `exec: "${command[0]}": stat ${command[0]}: no such file or directory`)
      await crew.fill(service)
      if (service.state === 'activating') settle(service, 'active', crew.health(service))
    })
  }
  /** It stays as it is, and goes on trying, as far as anybody can tell from outside. */
  function fail(service: Service, message: string): void {
    Object.assign(service, { transitioning: 'error', transitioningMessage: `Expected state running: ${message}` })
  }

  /** Public ports are given to a service, for all of its containers, when it is made. */
  async function register(service: Service): Promise<void> {
    for (const config of [service.launchConfig, ...(service.secondaryLaunchConfigs ?? [])]) {
      if (!config?.ports) continue
      const given = config.ports.map(async (port) => (port.includes(':') ? port : `${await freePort()}:${port}`))
      config.ports = await Promise.all(given)
    }
    settle(service, 'inactive', 'unhealthy')
  }
  async function scale(service: Service): Promise<void> {
    await crew.trim(service)
    await crew.fill(service)
    settle(service, 'active', crew.health(service))
  }
  function restart(service: Service): void {
    begin(service, 'restarting', async () => {
      await crew.roll(service)
      if (service.state === 'restarting') settle(service, 'active', crew.health(service))
    })
  }

  function changed(service: Service): void {
    const isSettled = service.state !== 'activating' && service.state !== 'deactivating'
    if (isSettled && service.healthState !== 'started-once') service.healthState = crew.health(service)
    track(
      pause(world.endpointsMs).then(() => {
        service.publicEndpoints = crew.endpoints(service)
      }),
    )
  }
  function ended(service: Service): void {
    if (service.state !== 'active' || closing.signal.aborted) return
    if (String(service.launchConfig?.labels?.['io.rancher.container.start_once']) === 'true') {
      service.healthState = 'started-once'
      return
    }
    track(
      pause(RESTART_MS).then(async () => {
        if (!closing.signal.aborted && service.state === 'active') await crew.fill(service)
      }),
    )
  }

  function deactivate(service: Service): void {
    begin(service, 'deactivating', async () => {
      await crew.empty(service)
      if (service.state === 'deactivating') settle(service, 'inactive', 'unhealthy')
    })
  }
  /** A removed one can still be asked for by its id for a while. */
  function remove(service: Service): void {
    begin(service, 'removing', async () => {
      await crew.empty(service)
      settle(service, 'removed', 'unhealthy')
      later(service, 'removed', () => void world.services.delete(service.id))
    })
  }
  return world
}
