import { freePort } from '../ports.js'
import { type AppProcess, startAppProcess } from './containers.js'
import type { Endpoint, LaunchConfig, Service } from './world.js'

/** The containers of services: as many as the scale says, each on a host of its own, as ports that are published demand it. */
export interface Crew {
  /** Starts those that are missing. */
  fill(service: Service): Promise<void>
  /** Ends those whose number is the scale or above. */
  trim(service: Service): Promise<void>
  empty(service: Service): Promise<void>
  /** Ends one after the other and starts it again, each once the one before is well. */
  roll(service: Service): Promise<void>
  endpoints(service: Service): readonly Endpoint[]
  /** How well the service is as a whole. */
  health(service: Service): string
  portOf(id: string): number | undefined
  starts(id: string): number
  close(): Promise<void>
}

export interface CrewInputs {
  /** How long a container with a health check is `initializing`. */
  readonly healthMs: () => number
  readonly pause: (ms: number) => Promise<unknown>
  /** Something has come or gone, or is otherwise well. */
  readonly changed: (service: Service) => void
  /** A container has ended that nobody has told to. */
  readonly ended: (service: Service) => void
}

interface Container {
  readonly instanceId: string
  readonly process: AppProcess
  isHealthy: boolean
  /** It was told to. */
  isEnding: boolean
}

const DEFAULT_STOP_S = 10

export function createCrew({ healthMs, pause, changed, ended }: CrewInputs): Crew {
  const crews = new Map<string, Map<number, Container>>()
  const starts = new Map<string, number>()
  let number = 500_000
  const of = (id: string): Map<number, Container> => {
    const found = crews.get(id) ?? new Map<number, Container>()
    crews.set(id, found)
    return found
  }

  async function start(service: Service, index: number): Promise<void> {
    const { environment, healthCheck } = service.launchConfig ?? {}
    const port = publicPorts(service.launchConfig)[0] ?? (await freePort())
    const process = await startAppProcess(`127.0.0.${index + 1}`, port, { HOSTNAME: service.name, ...environment })
    const container: Container = { instanceId: `1i${++number}`, process, isHealthy: !healthCheck, isEnding: false }
    of(service.id).set(index, container)
    starts.set(service.id, (starts.get(service.id) ?? 0) + 1)
    changed(service)
    void process.ended.then(() => {
      if (of(service.id).get(index) !== container) return
      of(service.id).delete(index)
      changed(service)
      if (!container.isEnding) ended(service)
    })
    if (container.isHealthy) return
    void pause(healthMs()).then(() => {
      container.isHealthy = true
      changed(service)
    })
  }

  async function stop(service: Service, index: number): Promise<void> {
    const container = of(service.id).get(index)
    if (!container) return
    container.isEnding = true
    changed(service)
    await container.process.stop((service.launchConfig?.stopTimeout ?? DEFAULT_STOP_S) * 1000)
  }

  const staying = ({ id }: Service) => [...of(id).values()].filter(({ isEnding }) => !isEnding)
  const numbers = ({ scale }: Service) => Array.from({ length: scale }, (_, index) => index)
  const stopAll = (service: Service, from: number) =>
    Promise.all([...of(service.id).keys()].filter((index) => index >= from).map((index) => stop(service, index)))

  const crew: Crew = {
    async fill(service) {
      for (const index of numbers(service)) if (!of(service.id).has(index)) await start(service, index)
    },
    async trim(service) {
      await stopAll(service, service.scale)
    },
    async empty(service) {
      await stopAll(service, 0)
    },
    async roll(service) {
      for (const index of numbers(service)) {
        await stop(service, index)
        await start(service, index)
        while (of(service.id).get(index)?.isHealthy === false) await pause(10)
      }
    },
    endpoints: (service) =>
      staying(service).flatMap(({ instanceId, process: { address: ipAddress, port } }) => [
        ...(service.launchConfig?.ports?.length ? [{ ipAddress, port, instanceId }] : []),
        ...(service.secondaryLaunchConfigs ?? [])
          .flatMap(publicPorts)
          .map((sidekickPort) => ({ ipAddress, port: sidekickPort, instanceId: `${instanceId}5` })),
      ]),
    health: (service) =>
      aggregateHealth(
        service.scale,
        staying(service).map(({ isHealthy }) => (isHealthy ? 'healthy' : 'initializing')),
      ),
    portOf: (id) => [...of(id).values()][0]?.process.port,
    starts: (id) => starts.get(id) ?? 0,
    async close() {
      const all = [...crews.values()].flatMap((one) => [...one.values()])
      crews.clear()
      await Promise.all(all.map(({ process }) => process.stop(0)))
    },
  }
  return crew
}

/** One container that is not well yet makes the whole service `initializing`, however many others are. */
function aggregateHealth(scale: number, healths: readonly string[]): string {
  const healthy = healths.filter((health) => health === 'healthy').length
  if (healthy >= scale) return 'healthy'
  if (healths.includes('initializing')) return 'initializing'
  return healthy > 0 ? 'degraded' : 'unhealthy'
}

const publicPorts = (config: LaunchConfig | null): number[] =>
  (config?.ports ?? []).flatMap((port) => Number(/^(\d+):\d+/.exec(port)?.[1]) || [])
