import { Worker } from 'node:worker_threads'
import { HostlerError, messageOf } from '../../../lib/errors.js'
import type { Config, ConfigSpec, Outcome } from './policy.js'

/** What the thread is asked: every container in turn; `at` is where it is. */
export interface Ask {
  readonly containers: readonly unknown[]
  readonly config: Config
  readonly at: Int32Array
}

/** What a policy's module declares, or why it cannot be used. */
export type Loaded = { readonly config?: object | undefined; readonly prefix?: unknown } | { readonly error: string }

export interface PolicyThread {
  readonly config?: ConfigSpec
  readonly prefix?: string
  /**
   * One outcome per container. Where it got stuck or came to an end, the thread is gone, and only `stuckAt` is told.
   */
  run(containers: readonly unknown[], config: Config): Promise<Ran>
  close(): Promise<void>
}

export type Ran = { readonly outcomes: readonly Outcome[] } | { readonly stuckAt: number; readonly why: string }

export interface ThreadOptions {
  /** Of the module, as a URL. */
  readonly url: string
  /** For one container, and for loading. */
  readonly limitMs: number
  /** The program of the thread. */
  readonly program: URL
}

const MEMORY_MB = 128

/** @throws HostlerError `POLICY` when the module cannot be used */
export async function openThread({ url, limitMs, program }: ThreadOptions): Promise<PolicyThread> {
  const worker = new Worker(program, { workerData: { url }, resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB } })
  // Only while it is asked something may it keep the process alive.
  worker.unref()
  const loaded = await answerOf<Loaded>(worker, new Int32Array(1), LOAD_MS)
  if ('ended' in loaded) throw new HostlerError('POLICY', `it could not be loaded: ${loaded.ended}`)
  if ('error' in loaded.answer) {
    await worker.terminate()
    throw new HostlerError('POLICY', loaded.answer.error)
  }
  const { config, prefix } = loaded.answer
  return {
    ...(config && { config: config as ConfigSpec }),
    ...(typeof prefix === 'string' && { prefix }),
    async run(containers, config) {
      const at = new Int32Array(new SharedArrayBuffer(4))
      const waiting = answerOf<{ outcomes: readonly Outcome[] }>(worker, at, limitMs)
      worker.postMessage({ containers, config, at } satisfies Ask)
      const result = await waiting
      return 'ended' in result ? { stuckAt: Atomics.load(at, 0), why: result.ended } : result.answer
    },
    async close() {
      await worker.terminate()
    },
  }
}

/** A first load may have to read a good many files. */
const LOAD_MS = 10_000

/** The next message; or, when nothing moves for so long or the thread ends, why there is none. The thread is gone then. */
async function answerOf<T>(
  worker: Worker,
  at: Int32Array,
  limitMs: number,
): Promise<{ answer: T } | { ended: string }> {
  worker.ref()
  let stop = () => {}
  try {
    return await new Promise((resolve) => {
      const end = (ended: string) => resolve({ ended })
      const listeners = {
        message: (answer: T) => resolve({ answer }),
        error: (error: unknown) => end(messageOf(error)),
        exit: () => end('it ended the thread that it runs in'),
      }
      for (const [event, listener] of Object.entries(listeners)) worker.on(event, listener)
      const watch = watchProgress(at, limitMs, () => {
        void worker.terminate()
        end(`it took longer than ${limitMs / 1000} s`)
      })
      stop = () => {
        clearInterval(watch)
        for (const [event, listener] of Object.entries(listeners)) worker.off(event, listener)
      }
    })
  } finally {
    stop()
    // An error that comes after all would end the process.
    worker.on('error', () => undefined)
    worker.unref()
  }
}

function watchProgress(at: Int32Array, limitMs: number, stuck: () => void): NodeJS.Timeout {
  let seen = { index: Atomics.load(at, 0), since: performance.now() }
  return setInterval(
    () => {
      const index = Atomics.load(at, 0)
      if (index !== seen.index) seen = { index, since: performance.now() }
      else if (performance.now() - seen.since > limitMs) stuck()
    },
    Math.min(limitMs / 4, 250),
  )
}
