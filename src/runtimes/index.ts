import type { Settings } from '../config/schema.js'
import { parseEndpoint } from '../lib/docker/endpoint.js'
import { sourceNames } from '../lib/docker/source-names.js'
import type { Runtime, RuntimeContext } from './runtime.js'

export interface RuntimeFactory {
  /** The sources whose instances it can act on, without connecting to anything. */
  names(settings: Settings): string[]
  create(settings: Settings, context: RuntimeContext): Promise<Runtime[]>
}

/** Every runtime, by the name of the kind of source (as `sources` has it) whose instances it acts on. One that is not asked for is not loaded. */
export const runtimeFactories: Readonly<Record<string, RuntimeFactory>> = {
  docker: {
    names: ({ docker }) => sourceNames(docker.hosts.map((text) => parseEndpoint(text, docker))),
    async create(settings, context) {
      const { createDockerRuntimes } = await import('./docker.js')
      return createDockerRuntimes(settings, context)
    },
  },
  'rancher-api': {
    names: () => ['rancher-api'],
    async create(settings, context) {
      const { createRancherRuntime } = await import('./rancher.js')
      return [createRancherRuntime(settings, context)]
    },
  },
}

const factoriesOf = ({ sources }: Settings): RuntimeFactory[] =>
  sources.flatMap((name) => (Object.hasOwn(runtimeFactories, name) ? (runtimeFactories[name] ?? []) : []))

/** The sources whose containers can be started and stopped. */
export const runtimeNames = (settings: Settings): string[] =>
  factoriesOf(settings).flatMap(({ names }) => names(settings))

/** One runtime for each of those. */
export async function createRuntimes(settings: Settings, context: RuntimeContext): Promise<Runtime[]> {
  const found = factoriesOf(settings).map(({ create }) => create(settings, context))
  return (await Promise.all(found)).flat()
}
