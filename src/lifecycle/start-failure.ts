import { HostlerError } from '../lib/errors.js'
import { printable } from '../model/label-values.js'
import { RuntimeError, type Workload } from '../runtimes/runtime.js'

/** Why a container did not come up, in words for everybody who asked for it: nothing of the engine's own is in them. */
export class StartFailure extends HostlerError {
  readonly service: string

  constructor(
    service: string,
    readonly reason: string,
  ) {
    super('WAKE_FAILED', `${printable(service)}: ${reason}`)
    this.service = printable(service)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  'no-such-workload': 'its container is gone',
  'no-such-image': 'its image is gone',
  'no-such-network': 'its network is gone',
  refused: 'its container could not be started; the log says why',
  unreachable: 'the container engine does not answer',
}

/** @param error what the runtime threw */
export const refusedStart = (error: unknown): string =>
  (error instanceof RuntimeError && REASONS[error.code]) || 'its container could not be started; the log says why'

/** `its container ended with code 1 after 0.3 s` */
export function endedStart({ exitCode, startedAt, endedAt }: Workload): string {
  const code = exitCode === undefined ? '' : ` with code ${exitCode}`
  const ranMs = startedAt > 0 && endedAt >= startedAt ? ` after ${((endedAt - startedAt) / 1000).toFixed(1)} s` : ''
  return `its container ended${code}${ranMs}`
}
