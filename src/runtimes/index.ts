import type { Settings } from '../config/schema.js'
import { createDockerRuntimes, dockerRuntimeNames } from './docker.js'
import { createRancherRuntime, RANCHER_RUNTIME } from './rancher.js'
import type { Runtime, RuntimeContext } from './runtime.js'

export interface RuntimeFactory {
  /** The sources whose instances it can act on, without connecting to anything. */
  names(settings: Settings): string[]
  create(settings: Settings, context: RuntimeContext): Runtime[]
}

/** Every runtime, by the name of the kind of source (as `sources` has it) whose instances it acts on. */
export const runtimeFactories: Readonly<Record<string, RuntimeFactory>> = {
  docker: { names: dockerRuntimeNames, create: createDockerRuntimes },
  'rancher-api': {
    names: () => [RANCHER_RUNTIME],
    create: (settings, context) => [createRancherRuntime(settings, context)],
  },
}

const factoriesOf = ({ sources }: Settings): RuntimeFactory[] =>
  sources.flatMap((name) => (Object.hasOwn(runtimeFactories, name) ? (runtimeFactories[name] ?? []) : []))

/** The sources whose containers can be started and stopped. */
export const runtimeNames = (settings: Settings): string[] =>
  factoriesOf(settings).flatMap(({ names }) => names(settings))

/** One runtime for each of those. */
export const createRuntimes = (settings: Settings, context: RuntimeContext): Runtime[] =>
  factoriesOf(settings).flatMap(({ create }) => create(settings, context))
