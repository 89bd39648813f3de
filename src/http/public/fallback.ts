import { hostOf } from '../../model/match.js'
import type { Outcome } from './events.js'
import type { Visit } from './visit.js'

/**
 * Where people are sent who name no container, or one that does not get ready: predecessor 2's fallback. Programs that send
 * something, and whoever asks for that very place (nobody else answers there, or we would not be asked), get our own answer.
 */
export type Fallback = (visit: Visit, outcome: Outcome) => string | undefined

/** @param url empty: nobody is sent anywhere */
export function createFallback(url: string): Fallback {
  if (url === '') return () => undefined
  const { hostname, pathname, href } = new URL(url)
  return ({ ask, upgrade, record }, outcome) => {
    const isLost = outcome === 'no-route' || (record.isNamed === true && FAILED.includes(outcome))
    if (!isLost || upgrade || !['GET', 'HEAD'].includes(ask.method)) return undefined
    const isThere = hostOf(ask.host) === hostname && ask.path.startsWith(pathname)
    return isThere ? undefined : href
  }
}

const FAILED: readonly Outcome[] = ['wake-failed', 'late', 'no-answer']
