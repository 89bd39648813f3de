import type { Logger } from 'pino'
import type { Clock } from '../../lib/clock.js'
import { codeOf } from '../../lib/errors.js'
import { printable } from '../../lib/printable.js'
import { isOnItsWay } from '../../lib/rancher/states.js'
import { RuntimeError } from '../runtime.js'
import { type Desk, type Found, noSuchService } from './desk.js'
import { type Goal, removing, starting, stopping } from './goals.js'
import { type Attempt, ask } from './requests.js'
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

/**
 * Rancher takes an action at once and does it later; which actions a service has depends on its state, and while it goes
 * from one state to another the wanted one may be missing. So each act looks, asks when it can, and looks again, until the
 * service is what it shall be. Whoever else acts on the service meanwhile is taken in one's stride.
 */
export function createActs(deps: ActDeps): Acts {
  const { desk, timeouts } = deps
  const act = (goal: Goal) => (id: string, signal: AbortSignal) => {
    const what = `${goal.doing} service ${printable(id, 80)}`
    return desk.work(what, signal, async (client) => {
      const find = createPatience(deps, () => desk.find(client, id, signal), signal)
      await bring(deps, goal, { find, id, look: { client, what, signal } })
    })
  }
  return { start: act(starting(timeouts)), stop: act(stopping(timeouts)), remove: act(removing(timeouts)) }
}

interface Trip {
  readonly id: string
  readonly find: (isPatient: boolean) => Promise<Found | undefined>
  readonly look: Pick<Attempt, 'client' | 'what' | 'signal'>
}

async function bring(deps: ActDeps, goal: Goal, { id, find, look }: Trip): Promise<void> {
  const { clock, timeouts } = deps
  const began = clock.elapsed()
  let asked = false
  let movedAt = began
  for (let found = await find(false); ; found = await find(asked)) {
    if (!found && goal.endsWhenGone(asked)) return
    if (!found) throw noSuchService(id)
    const step = await goal.step({ ...look, found, asked })
    if (step === 'done') return
    if (step === 'failed') throw await givenUp(deps, { ...look, found, asked })
    asked ||= step === 'asked'
    const now = clock.elapsed()
    const waitedMs = now - began
    // What somebody else has begun ends first, in its own time.
    if (isOnItsWay(found.service) && found.service.transitioning !== 'error') movedAt = now
    if (!asked && now - movedAt > timeouts.actionMs) throw notOffered(goal, found, look.what)
    if (waitedMs > goal.timeoutMs(found)) throw tooLong(found, look.what, waitedMs)
    await clock.sleep(timeouts.lookMs, look.signal)
  }
}

/** What is under way takes minutes: that Rancher does not answer for a moment is no reason to give it up. */
function createPatience<T>({ clock, timeouts }: ActDeps, work: () => Promise<T>, signal: AbortSignal) {
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

/** Calls a failed start off: Rancher would try again for ever, behind the back of a caller who was told that it failed. */
async function givenUp({ desk, timeouts, clock, log }: ActDeps, attempt: Attempt): Promise<RuntimeError> {
  const { service } = attempt.found
  // The caller's may fire, and leave it at that.
  const { signal } = new AbortController()
  try {
    await ask('deactivate', { ...attempt, what: `deactivating service ${service.id}`, signal })
    for (const began = clock.elapsed(); clock.elapsed() - began < timeouts.stopMs; await clock.sleep(timeouts.lookMs)) {
      const now = await desk.find(attempt.client, service.id, signal)
      if (now?.service.state !== 'deactivating') break
    }
  } catch (err) {
    log.warn({ service: service.name, err }, 'a service that could not be started is still being tried by Rancher')
  }
  const message = printable(service.transitioningMessage, 300)
  return new RuntimeError('refused', `${attempt.what} was refused by Rancher: ${message}`)
}

function notOffered({ action }: Goal, { service }: Found, what: string): RuntimeError {
  const state = printable(service.state, 60)
  const remedy = 'see in Rancher what it waits for, and whether the key may do that'
  return new RuntimeError('refused', `${what}: Rancher offers no "${action}" while it is ${state}; ${remedy}`)
}

function tooLong({ service }: Found, what: string, ms: number): RuntimeError {
  const said = printable(`${service.state} ${service.transitioningMessage}`, 300)
  return new RuntimeError(
    'unreachable',
    `${what} has not ended after ${Math.round(ms / 1000)} s; Rancher says: ${said}`,
  )
}
