import type { Logger } from 'pino'
import { HostlerError } from '../lib/errors.js'
import type { InstanceHealth, InstanceState } from '../model/instance.js'

/**
 * What lifecycle may do to containers. One runtime acts on the instances of one source.
 *
 * Contract:
 * - Every method ends within a moment when the signal fires, and rejects.
 * - What is in the wanted state already is no error: starting what runs, stopping what is stopped, removing what is gone.
 *   Starting what is paused unpauses it.
 * - Work on one workload is done one piece after the other: a start waits for the stop before it, and it runs in the end.
 *   A stop that was aborted, or is somebody else's, cannot be waited for; its end is told by the source.
 * - Errors are RuntimeErrors; the message never holds an engine's raw answer beyond one printable line.
 */
export interface Runtime {
  /** The source whose instances it acts on: `Instance.source`. */
  readonly source: string
  /** What would be paused has to be stopped there. */
  readonly cannotPause?: boolean
  /** Creates, and does not start. Whatever fails, and whenever the signal fires: all of it is there in the end, or nothing. */
  create(spec: WorkloadSpec, signal: AbortSignal): Promise<{ readonly id: string }>
  /** Gets an image that is missing or newer; `progress` is told as it goes. */
  pull(image: string, progress: (step: PullStep) => void, signal: AbortSignal): Promise<void>
  /** Resolves when its process runs. */
  start(id: string, signal: AbortSignal): Promise<void>
  /** Asks it to end with its own stop signal and time-out; resolves when it has ended. */
  stop(id: string, signal: AbortSignal): Promise<void>
  /** Refused where `cannotPause`. */
  pause(id: string, signal: AbortSignal): Promise<void>
  unpause(id: string, signal: AbortSignal): Promise<void>
  /** Ends it where it runs, as `stop` does, and removes it. */
  remove(id: string, options: { readonly volumes: boolean }, signal: AbortSignal): Promise<void>
  /** One workload by its full id or name; undefined when there is none. */
  inspect(idOrName: string, signal: AbortSignal): Promise<Workload | undefined>
  /**
   * Where names are unique only among some workloads: the one that is called as this one would be, where it would be
   * created. Elsewhere `inspect` tells.
   */
  namesake?(spec: Pick<WorkloadSpec, 'name' | 'labels'>, signal: AbortSignal): Promise<Workload | undefined>
  /** Every workload with all of these labels, running or not, sorted by name. Meant for a few: each is inspected. */
  list(labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Workload[]>
  /** Bytes received and sent by its network interfaces since it started; undefined where that cannot be told. */
  traffic(id: string, signal: AbortSignal): Promise<Traffic | undefined>
}

export interface WorkloadSpec {
  readonly name: string
  readonly image: string
  /** Networks to join, the first one at creation. */
  readonly networks: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string>>
  readonly command?: readonly string[]
  readonly limits?: WorkloadLimits
}

export interface WorkloadLimits {
  readonly memoryBytes?: number
  /** In CPUs: 0.5 is half of one. */
  readonly cpus?: number
  readonly pids?: number
  /** Linux capabilities without `CAP_`; `ALL` stands for every one. */
  readonly capAdd?: readonly string[]
  readonly capDrop?: readonly string[]
  readonly readOnly?: boolean
  readonly noNewPrivileges?: boolean
}

export interface PullStep {
  /** Which part of the image, and what happens to it, as the runtime words it. */
  readonly id: string
  readonly status: string
  readonly currentBytes?: number
  readonly totalBytes?: number
}

export interface Workload {
  readonly id: string
  readonly name: string
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  /** As `NAME: value`, those of the image included. */
  readonly env: Readonly<Record<string, string>>
  /** By name, sorted. */
  readonly networks: readonly string[]
  readonly state: InstanceState
  readonly health: InstanceHealth
  /** Of the last run that ended; undefined while it runs or never ran. */
  readonly exitCode?: number
  /** Milliseconds since the epoch; 0 when unknown or never. */
  readonly createdAt: number
  readonly startedAt: number
  readonly endedAt: number
  /** How often its engine has restarted it by itself. */
  readonly restarts: number
}

export interface Traffic {
  readonly receivedBytes: number
  readonly sentBytes: number
}

export type RuntimeErrorCode =
  | 'no-such-workload'
  | 'no-such-image'
  | 'no-such-network'
  | 'name-in-use'
  /** The engine has the request and will not do it. */
  | 'refused'
  /** The engine cannot be reached, does not answer in time, or answers what cannot be understood: what it did is unknown. */
  | 'unreachable'

export class RuntimeError extends HostlerError {
  constructor(
    override readonly code: RuntimeErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(code, message, options)
  }
}

export interface RuntimeContext {
  readonly log: Logger
}
