import type { RancherClient } from '../../lib/rancher/client.js'
import { type Found, isDone, refusal } from './desk.js'

export type Action = 'activate' | 'deactivate' | 'remove'

/** One look at a service, on the way to what it shall be. */
export interface Attempt {
  readonly client: RancherClient
  readonly found: Found
  /** Whether anything has been asked of Rancher before. */
  readonly asked: boolean
  /** For messages: "starting service 1s5". */
  readonly what: string
  readonly signal: AbortSignal
}

/**
 * Asks Rancher for an action that it has offered.
 * @throws RuntimeError `refused`
 */
export async function ask(action: Action, attempt: Omit<Attempt, 'asked'>) {
  const { client, found, what, signal } = attempt
  const answer = await client.call(requestOf(action, found), signal)
  if (isDone(answer)) return 'asked'
  // The state has changed since it was looked at, or it is gone: the next look will tell.
  if (answer.status === 404 || answer.status === 409 || answer.code === 'ActionNotAvailable') return 'waiting'
  throw refusal(what, answer)
}

/** Not at the link that Rancher gives, which may lead anywhere. */
const requestOf = (action: Action, { url }: Found) =>
  action === 'remove'
    ? ({ method: 'DELETE', url } as const)
    : ({ method: 'POST', url: `${url}/?action=${action}` } as const)
