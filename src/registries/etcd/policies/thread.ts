import { Worker } from 'node:worker_threads'
import { HostlerError, messageOf } from '../../../lib/errors.js'
import type { Config, ConfigSpec, Outcome } from './policy.js'

/** What the thread is asked: every container in turn; `at` is where it is. */
export interface Ask {
  /** Of the question; what the thread says of itself, once it has loaded, is the answer to number 0. */
  readonly id: number
  readonly containers: readonly unknown[]
  readonly config: Config
  readonly at: Int32Array
}

/** What a policy's module declares, or why it cannot be used. */
export type Loaded = { readonly config?: object | undefined; readonly prefix?: unknown } | { readonly error: string }

/** What the thread says. */
export interface Told {
  readonly id: number
  readonly answer: Loaded | { readonly outcomes: readonly Outcome[] }
}

export interface PolicyThread {
  readonly config?: ConfigSpec
  readonly prefix?: string
  /**
   * One call at a time. One outcome per container. Where it got stuck or came to an end, the thread is gone, and only `stuckAt` is told.
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
  // One that comes when nobody waits would end the process.
  worker.on('error', () => undefined)
  const loaded = await answerOf<Loaded>(worker, { id: 0, at: new Int32Array(1), limitMs: LOAD_MS })
  if ('ended' in loaded) throw new HostlerError('POLICY', `it could not be loaded: ${loaded.ended}`)
  if ('error' in loaded.answer) {
    await worker.terminate()
    throw new HostlerError('POLICY', loaded.answer.error)
  }
  const { config, prefix } = loaded.answer
  let asked = 0
  return {
    ...(config && { config: config as ConfigSpec }),
    ...(typeof prefix === 'string' && { prefix }),
    async run(containers, config) {
      const at = new Int32Array(new SharedArrayBuffer(4))
      const id = ++asked
      const waiting = answerOf<{ outcomes: readonly Outcome[] }>(worker, { id, at, limitMs })
      worker.postMessage({ id, containers, config, at } satisfies Ask)
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

interface Question {
  readonly id: number
  readonly at: Int32Array
  readonly limitMs: number
}

/** The answer; or, when nothing moves for so long or the thread ends, why there is none. The thread is gone then. */
async function answerOf<T extends Told['answer']>(
  worker: Worker,
  { id, at, limitMs }: Question,
): Promise<{ answer: T } | { ended: string }> {
  worker.ref()
  let stop = () => {}
  try {
    return await new Promise((resolve) => {
      const end = (ended: string) => resolve({ ended })
      const listeners = {
        // The policy itself may say things too.
        message: (told: Told | null) => told?.id === id && resolve({ answer: told.answer as T }),
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
    worker.unref()
  }
}

/** Counts looks rather than time: while the whole process was held up or stopped, the policy was too. */
function watchProgress(at: Int32Array, limitMs: number, stuck: () => void): NodeJS.Timeout {
  const everyMs = Math.min(limitMs / 4, 250)
  let seen = Atomics.load(at, 0)
  let sameFor = 0
  return setInterval(() => {
    const index = Atomics.load(at, 0)
    sameFor = index === seen ? sameFor + 1 : 0
    seen = index
    if (sameFor * everyMs > limitMs) stuck()
  }, everyMs)
}
