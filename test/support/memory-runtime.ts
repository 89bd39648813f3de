import { type Runtime, RuntimeError, type Workload, type WorkloadSpec } from '../../src/runtimes/runtime.js'

export interface MemoryRuntime extends Runtime {
  readonly workloads: Map<string, Workload>
  readonly specs: Map<string, WorkloadSpec>
  /** Every call that changed something: `start ID`. */
  readonly calls: string[]
  /** Images that can be had without pulling. */
  readonly images: Set<string>
  /** Images that a registry has. */
  readonly pullable: Set<string>
  /** The next call of that name fails so. */
  fail(call: string, error: Error): void
}

/** A runtime whose containers are entries of a map: for what a real engine cannot be made to do at will. */
export function createMemoryRuntime(source = 'docker'): MemoryRuntime {
  const workloads = new Map<string, Workload>()
  const specs = new Map<string, WorkloadSpec>()
  const calls: string[] = []
  const images = new Set<string>()
  const pullable = new Set<string>()
  const failures = new Map<string, Error>()
  const find = (idOrName: string) =>
    [...workloads.values()].find(({ id, name }) => id === idOrName || name === idOrName)
  const known = (id: string): Workload => {
    const workload = find(id)
    if (workload) return workload
    throw new RuntimeError('no-such-workload', `there is no ${id}`)
  }
  const change = (call: string, id: string, more: Partial<Workload>): void => {
    failed(call)
    const workload = known(id)
    calls.push(`${call} ${workload.name}`)
    workloads.set(workload.id, { ...workload, ...more })
  }
  const failed = (call: string): void => {
    const error = failures.get(call)
    failures.delete(call)
    if (error) throw error
  }
  return {
    ...{ source, workloads, specs, calls, images, pullable },
    fail: (call, error) => void failures.set(call, error),
    async create(spec) {
      failed('create')
      if (!images.has(spec.image)) throw new RuntimeError('no-such-image', `there is no image ${spec.image}`)
      if (find(spec.name)) throw new RuntimeError('name-in-use', `${spec.name} is in use`)
      const id = `${spec.name}-id-${specs.size}`
      specs.set(spec.name, spec)
      calls.push(`create ${spec.name}`)
      const { name, image, labels, env, networks } = spec
      const rest = { state: 'stopped', health: 'none', createdAt: 1000, startedAt: 0, endedAt: 0, restarts: 0 } as const
      workloads.set(id, { id, name, image, labels, env, networks, ...rest })
      return { id }
    },
    async pull(image, progress) {
      failed('pull')
      if (!pullable.has(image)) throw new RuntimeError('no-such-image', `no registry has ${image}`)
      calls.push(`pull ${image}`)
      progress({ id: 'layer', status: 'Downloading', currentBytes: 1, totalBytes: 2 })
      images.add(image)
    },
    start: async (id) => change('start', id, { state: 'running' }),
    stop: async (id) => change('stop', id, { state: 'stopped', exitCode: 0 }),
    pause: async (id) => change('pause', id, { state: 'paused' }),
    unpause: async (id) => change('unpause', id, { state: 'running' }),
    async remove(id) {
      failed('remove')
      const workload = find(id)
      if (!workload) return
      calls.push(`remove ${workload.name}`)
      workloads.delete(workload.id)
    },
    inspect: async (idOrName) => find(idOrName),
    list: async (labels) =>
      [...workloads.values()].filter((workload) =>
        Object.entries(labels).every(([name, value]) => workload.labels[name] === value),
      ),
    traffic: async () => undefined,
  }
}
