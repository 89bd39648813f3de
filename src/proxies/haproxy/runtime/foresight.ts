import type { Clock } from '../../../lib/clock.js'
import type { ConfigImage } from './types.js'

/**
 * What was planned for files while they were staged, kept for the move to them that follows when they are in place: to ask
 * HAProxy for everything it has takes 20 ms at 5,000 backends, and the answer would be the same. One that is older than
 * `goodForMs`, was planned for other files, or on ground that has changed since, is not given.
 */
export interface Foresight<T> {
  /** @param ground what the plan was made from beside the files; compared by identity */
  keep(image: ConfigImage, ground: readonly unknown[], plan: T): void
  /** The plan, once. */
  take(image: ConfigImage, ground: readonly unknown[]): T | undefined
}

export function createForesight<T>(clock: Pick<Clock, 'elapsed'>, goodForMs: number): Foresight<T> {
  let kept: { image: ConfigImage; ground: readonly unknown[]; plan: T; at: number } | undefined
  return {
    keep(image, ground, plan) {
      kept = { image, ground, plan, at: clock.elapsed() }
    },
    take(image, ground) {
      const found = kept
      kept = undefined
      if (found === undefined || clock.elapsed() - found.at > goodForMs) return undefined
      const isOnSameGround = ground.every((one, index) => one === found.ground[index])
      return isOnSameGround && areSame(found.image, image) ? found.plan : undefined
    },
  }
}

const areSame = (a: ConfigImage, b: ConfigImage): boolean =>
  a.size === b.size && [...a].every(([path, text]) => b.get(path) === text)
