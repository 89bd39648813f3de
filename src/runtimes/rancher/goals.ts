import { printable } from '../../lib/printable.js'
import { stateOf } from '../../lib/rancher/states.js'
import { RuntimeError } from '../runtime.js'
import type { Found } from './desk.js'
import { type Action, type Attempt, ask } from './requests.js'
import type { Timeouts } from './timeouts.js'

/** What a service shall become, and what one look at it leads to. */
export interface Goal {
  /** For messages: "starting". */
  readonly doing: string
  readonly action: Action
  /** Whether a service that is not there is as it shall be. */
  readonly endsWhenGone: (asked: boolean) => boolean
  readonly timeoutMs: (found: Found) => number
  readonly step: (attempt: Attempt) => Promise<Step>
}

/** It is there already; something has been asked for, by us or by others; there is nothing but to wait; it cannot be. */
export type Step = 'done' | 'asked' | 'waiting' | 'failed'

const DEFAULT_STOP_S = 10

export const starting = ({ startMs }: Timeouts): Goal => ({
  ...{ doing: 'starting', action: 'activate', endsWhenGone: () => false, timeoutMs: () => startMs },
  async step(attempt) {
    const { service } = attempt.found
    if (stateOf(service) === 'running') return 'done'
    if (service.healthState === 'started-once' && service.state === 'active') {
      if (attempt.asked) return 'done'
      // Its containers have run and ended; only what is inactive can be activated again.
      await ask('deactivate', attempt)
      return 'waiting'
    }
    if (service.actions.has('activate')) return ask('activate', attempt)
    if (service.state !== 'activating') return 'waiting'
    return service.transitioning === 'error' ? 'failed' : 'asked'
  },
})

export const stopping = ({ stopMs }: Timeouts): Goal => ({
  ...{ doing: 'stopping', action: 'deactivate', endsWhenGone: (asked) => asked },
  timeoutMs: ({ service }) => (service.launchConfig?.stopTimeout ?? DEFAULT_STOP_S) * 1000 + stopMs,
  async step(attempt) {
    const { service } = attempt.found
    if (service.state === 'inactive' || service.healthState === 'started-once') return 'done'
    if (service.actions.has('deactivate')) return ask('deactivate', attempt)
    assertNotUpgraded(attempt)
    return service.state === 'deactivating' ? 'asked' : 'waiting'
  },
})

export const removing = ({ removeMs }: Timeouts): Goal => ({
  ...{ doing: 'removing', action: 'remove', endsWhenGone: () => true, timeoutMs: () => removeMs },
  async step(attempt) {
    const { service } = attempt.found
    // It ends in its own time before it goes.
    if (service.actions.has('deactivate')) return ask('deactivate', attempt)
    if (service.state === 'deactivating' || service.state === 'removing') return 'asked'
    return service.actions.has('remove') ? ask('remove', attempt) : 'waiting'
  },
})

function assertNotUpgraded({ found: { service }, what }: Attempt): void {
  if (service.state !== 'upgraded' && service.state !== 'canceled-upgrade') return
  const remedy = 'finish its upgrade or roll it back in Rancher first'
  throw new RuntimeError('refused', `${what} is not possible while it is ${printable(service.state)}; ${remedy}`)
}
