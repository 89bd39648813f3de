import type { Runtime } from '../runtimes/runtime.js'
import type { Source } from '../sources/source.js'

/** The runtime, after each of whose acts its source looks at what has come of it, where that source would wait for its turn. */
export function nudging(runtime: Runtime, sources: readonly Source[]): Runtime {
  const source = sources.find(({ name }) => name === runtime.source)
  if (!source?.nudge) return runtime
  const nudge = source.nudge
  const told =
    <Given extends unknown[], Result>(act: (...given: Given) => Promise<Result>) =>
    (...given: Given) =>
      act(...given).finally(nudge)
  return {
    ...runtime,
    create: told(runtime.create),
    start: told(runtime.start),
    stop: told(runtime.stop),
    remove: told(runtime.remove),
  }
}
