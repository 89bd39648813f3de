import { type Fields, string } from './fields.js'

/** What engines call things, wherever in their answers that stands. */

const STATES = ['running', 'paused', 'restarting', 'stopping'] as const
const HEALTHS = ['starting', 'healthy', 'unhealthy'] as const

/** `created`, `exited`, `dead`, `removing` and whatever else there is are all `stopped`. */
export function readState(value: unknown): (typeof STATES)[number] | 'stopped' {
  return STATES.find((state) => state === value) ?? 'stopped'
}

/** Undefined: it does not say. */
export function readHealth(value: unknown): (typeof HEALTHS)[number] | undefined {
  return HEALTHS.find((health) => health === value)
}

/** Without the leading slash. A linked container has more names, like `/other/alias`. */
export function readName(id: string, names: readonly unknown[]): string {
  const own = names.map(string).find((name) => name !== '' && !name.slice(1).includes('/'))
  return own?.replace(/^\//, '') || id.slice(0, 12)
}

const DEFAULT_STOP_MS = 10_000
const ENDLESS_STOP_MS = 3_600_000

/**
 * How long a container may take to stop, of an inspected one's `Config`. Negative means as long as it likes; Podman says 0
 * where nothing was chosen.
 */
export function readStopTimeout(config: Fields): number {
  const seconds = config['StopTimeout']
  if (typeof seconds !== 'number' || seconds === 0) return DEFAULT_STOP_MS
  return seconds < 0 ? ENDLESS_STOP_MS : seconds * 1000
}
