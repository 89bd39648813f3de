import type { Logger } from 'pino'
import type { Clock } from '../../lib/clock.js'
import { codeOf } from '../../lib/errors.js'
import { printable } from '../../lib/printable.js'
import type { RancherClient } from '../../lib/rancher/client.js'
import { stateOf } from '../../lib/rancher/states.js'
import { RuntimeError } from '../runtime.js'
import { type Desk, type Found, isDone, noSuchService, refusal } from './desk.js'
import type { Timeouts } from './timeouts.js'

export interface Acts {
  start(id: string, signal: AbortSignal): Promise<void>
  stop(id: string, signal: AbortSignal): Promise<void>
  remove(id: string, signal: AbortSignal): Promise<void>
}

export interface ActDeps {
  readonly desk: Desk
  readonly timeouts: Timeouts
  readonly clock: Clock
  readonly log: Logger
}

type Action = 'activate' | 'deactivate' | 'remove'

/** What one look at the service leads to: it is there already, something has been asked for, or there is nothing but to wait. */
type Step = 'done' | 'asked' | 'waiting'

const DEFAULT_STOP_S = 10

/**
 * Rancher takes an action at once and does it later; which actions a service has depends on its state, and while it goes
 * from one state to another the wanted one may be missing. So each act looks, asks when it can, and looks again, until the
 * service is what it shall be. Whoever else acts on the service meanwhile is taken in one's stride.
 */
export function createActs({ desk, timeouts, clock, log }: ActDeps): Acts {
  async function bring(goal: Goal, id: string, signal: AbortSignal): Promise<void> {
    const what = `${goal.doing} service ${printable(id, 80)}`
    await desk.work(what, signal, async (client) => {
      const began = clock.elapsed()
      const find = createPatience(() => desk.find(client, id, signal), signal)
      let asked = false
      for (let found = await find(false); ; found = await find(asked)) {
        if (!found && goal.endsWhenGone(asked)) return
        if (!found) throw noSuchService(id)
        const step = await goal.step({ client, found, asked, what, signal })
        if (step === 'done') return
        if (step === 'asked') asked = true
        const waitedMs = clock.elapsed() - began
        if (!asked && step === 'waiting' && waitedMs > timeouts.actionMs) throw notOffered(goal, found, what)
        if (waitedMs > goal.timeoutMs(found)) throw tooLong(found, what, waitedMs)
        await clock.sleep(timeouts.lookMs, signal)
      }
    })
  }

  /** What is under way takes minutes: that Rancher does not answer for a moment is no reason to give it up. */
  function createPatience<T>(work: () => Promise<T>, signal: AbortSignal) {
    let failingSince: number | undefined
    return async function attempt(isPatient: boolean): Promise<T> {
      try {
        const result = await work()
        failingSince = undefined
        return result
      } catch (error) {
        signal.throwIfAborted()
        failingSince ??= clock.elapsed()
        const mayPass = ['rancher-unreachable', 'rancher-status'].includes(codeOf(error) ?? '')
        if (!isPatient || !mayPass || clock.elapsed() - failingSince > timeouts.silenceMs) throw error
        await clock.sleep(timeouts.lookMs, signal)
        return attempt(isPatient)
      }
    }
  }

  const starting: Goal = {
    doing: 'starting',
    action: 'activate',
    endsWhenGone: () => false,
    timeoutMs: () => timeouts.startMs,
    async step(look) {
      const { found, asked } = look
      const { service } = found
      if (stateOf(service) === 'running') return 'done'
      if (service.healthState === 'started-once' && service.state === 'active') {
        // Its containers have run and ended; only what is inactive can be activated again.
        return asked ? 'done' : ask('deactivate', look).then(() => 'waiting')
      }
      if (service.actions.has('activate')) return ask('activate', look)
      if (service.state === 'activating' && service.transitioning === 'error') throw await givenUp(look)
      return 'waiting'
    },
  }

  const stopping: Goal = {
    doing: 'stopping',
    action: 'deactivate',
    endsWhenGone: (asked) => asked,
    timeoutMs: ({ service }) => (service.launchConfig?.stopTimeout ?? DEFAULT_STOP_S) * 1000 + timeouts.stopMs,
    async step(look) {
      const { service } = look.found
      if (service.state === 'inactive' || service.healthState === 'started-once') return 'done'
      if (service.actions.has('deactivate')) return ask('deactivate', look)
      assertNotUpgraded(look)
      return service.state === 'deactivating' ? 'asked' : 'waiting'
    },
  }

  const removing: Goal = {
    doing: 'removing',
    action: 'remove',
    endsWhenGone: () => true,
    timeoutMs: () => timeouts.removeMs,
    async step(look) {
      const { service } = look.found
      // It ends in its own time before it goes.
      if (service.actions.has('deactivate')) return ask('deactivate', look)
      if (service.state === 'deactivating') return 'asked'
      if (service.actions.has('remove')) return ask('remove', look)
      return service.state === 'removing' ? 'asked' : 'waiting'
    },
  }

  async function ask(action: Action, { client, found, what, signal }: Look): Promise<Step> {
    const isRemoval = action === 'remove'
    const url = isRemoval ? found.url : `${found.url}/?action=${action}`
    const answer = await client.call({ method: isRemoval ? 'DELETE' : 'POST', url }, signal)
    if (isDone(answer)) return 'asked'
    // The state has changed since it was looked at, or it is gone: the next look will tell.
    if (answer.status === 404 || answer.status === 409 || answer.code === 'ActionNotAvailable') return 'waiting'
    throw refusal(what, answer)
  }

  /** Rancher would try again for ever, behind the back of a caller who was told that it failed. */
  async function givenUp({ client, found, what }: Look): Promise<RuntimeError> {
    const message = printable(found.service.transitioningMessage, 300)
    const url = `${found.url}/?action=deactivate`
    try {
      const answer = await client.call({ method: 'POST', url }, new AbortController().signal)
      if (!isDone(answer)) throw refusal(`deactivating ${found.service.name}`, answer)
      await inactive(client, found.service.id)
    } catch (err) {
      log.warn(
        { service: found.service.name, err },
        'a service that could not be started is still being tried by Rancher',
      )
    }
    return new RuntimeError('refused', `${what} was refused by Rancher: ${message}`)
  }

  async function inactive(client: RancherClient, id: string): Promise<void> {
    const forever = new AbortController().signal
    for (const began = clock.elapsed(); clock.elapsed() - began < timeouts.stopMs; await clock.sleep(timeouts.lookMs)) {
      const now = await desk.find(client, id, forever)
      if (now?.service.state !== 'deactivating') return
    }
  }

  return {
    start: (id, signal) => bring(starting, id, signal),
    stop: (id, signal) => bring(stopping, id, signal),
    remove: (id, signal) => bring(removing, id, signal),
  }
}

interface Goal {
  readonly doing: string
  readonly action: Action
  readonly endsWhenGone: (asked: boolean) => boolean
  readonly timeoutMs: (found: Found) => number
  readonly step: (look: Look) => Promise<Step>
}

interface Look {
  readonly client: RancherClient
  readonly found: Found
  /** Whether anything has been asked of Rancher yet, by us or by others. */
  readonly asked: boolean
  readonly what: string
  readonly signal: AbortSignal
}

function assertNotUpgraded({ found: { service }, what }: Look): void {
  if (service.state !== 'upgraded' && service.state !== 'canceled-upgrade') return
  const remedy = 'finish its upgrade or roll it back in Rancher first'
  throw new RuntimeError('refused', `${what} is not possible while it is ${service.state}; ${remedy}`)
}

function notOffered({ action }: Goal, { service }: Found, what: string): RuntimeError {
  const state = printable(service.state, 60)
  const remedy = 'see in Rancher what it waits for, and whether the key may do that'
  return new RuntimeError('refused', `${what}: Rancher offers no "${action}" while it is ${state}; ${remedy}`)
}

function tooLong({ service }: Found, what: string, ms: number): RuntimeError {
  const message = printable(`${service.state} ${service.transitioningMessage}`, 300)
  return new RuntimeError(
    'unreachable',
    `${what} has not ended after ${Math.round(ms / 1000)} s; Rancher says: ${message}`,
  )
}
