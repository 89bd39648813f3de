import { pathToFileURL } from 'node:url'
import { createTurns } from '../../../lib/turns.js'
import type { Instance } from '../../../model/instance.js'
import { inspectOf } from './inspect.js'
import type { Config, Outcome, Policy } from './policy.js'
import { openThread, type PolicyThread, type ThreadOptions } from './thread.js'

export interface FilePolicyOptions {
  readonly name: string
  readonly path: string
  readonly limitMs?: number
  readonly program?: URL
}

/** When it gets stuck with more than this at a time, whoever is left has to wait: the other policies wait as well. */
const MAX_STUCK = 3
const LIMIT_MS = 1000
/** Each is copied for the thread, and an engine tells some 10 kB of it. */
const AT_ONCE = 500

/**
 * A policy in a file of the user's, in a thread of its own: it may throw, loop or use up its memory, and only the container
 * that it does it with has no nodes of it. All of its services share the thread, which is asked for one at a time.
 * @throws HostlerError `POLICY` when the file cannot be loaded
 */
export async function createFilePolicy({
  name,
  path,
  limitMs = LIMIT_MS,
  program,
}: FilePolicyOptions): Promise<Policy> {
  const options: ThreadOptions = {
    url: pathToFileURL(path).href,
    limitMs,
    program: program ?? new URL('./thread-main.js', import.meta.url),
  }
  const first = await openThread(options)
  let thread: PolicyThread | undefined = first
  let isClosed = false
  const turns = createTurns()

  async function evaluate(instances: readonly Instance[], config: Config, signal: AbortSignal): Promise<Outcome[]> {
    const outcomes = new Map<Instance, Outcome>()
    const isOver = () => isClosed || signal.aborted
    for (let stuck = 0; outcomes.size < instances.length && stuck <= MAX_STUCK && !isOver(); ) {
      const open = instances.filter((instance) => !outcomes.has(instance)).slice(0, AT_ONCE)
      thread ??= await openThread(options)
      // It may have been closed while this one opened.
      if (isClosed) {
        await thread.close()
        break
      }
      const ran = await thread.run(open.map(inspectOf), config)
      if ('outcomes' in ran) {
        for (const [index, outcome] of ran.outcomes.entries()) outcomes.set(open[index] as Instance, outcome)
      } else {
        stuck++
        thread = undefined
        outcomes.set(open[ran.stuckAt] as Instance, { error: ran.why })
      }
    }
    return instances.map((instance) => outcomes.get(instance) ?? { unasked: true })
  }

  return {
    ...{ name, origin: path },
    ...(first.config && { config: first.config }),
    prefix: () => first.prefix,
    async evaluate(instances, config, signal) {
      try {
        return await turns.take(() => evaluate(instances, config, signal))
      } catch (error) {
        signal.throwIfAborted()
        const reason = error instanceof Error ? error.message : String(error)
        return instances.map(() => ({ error: reason }))
      }
    },
    async close() {
      isClosed = true
      await thread?.close()
    },
  }
}
