import type { Settings } from '../../config/schema.js'
import type { Clock } from '../../lib/clock.js'
import type { Logger } from '../../lib/logger.js'
import type { Waker, World } from '../../lifecycle/world.js'
import type { PublicEvents } from './events.js'
import type { PublicPages } from './pages.js'

/** What the public port works with. */
export interface PublicParts {
  readonly world: Pick<World, 'plan' | 'onChange'>
  readonly waker: Pick<Waker, 'wake' | 'state' | 'follow'>
  readonly settings: Settings['wake']
  /** The domain under which stacks get their names. */
  readonly domain: string
  readonly pages: PublicPages
  /** Where people are sent who name no container; nothing: they are told so. */
  readonly fallbackUrl?: string
  readonly log: Logger
  readonly clock: Clock
  readonly events: PublicEvents
}
