import { heartbeatId } from '../../lib/consul/meta.js'
import { announcerOf, type Present } from './present.js'

/** Everything at an agent, ours or not, by id. */
export type Services = Map<string, Present>

/** By which entries are known to be ours. */
export interface Owner {
  readonly announcer: string
  readonly cleanupId: string
}

/** What belongs to nobody, or to us alone. */
export const cleanupTag = (cleanupId: string): string => `rancon-cleanup-id-${cleanupId.toLowerCase()}`

/** Every tag that marks what is ours, those of predecessor 5's earlier versions among them. */
export const cleanupTags = (cleanupId: string): readonly string[] => [
  cleanupTag(cleanupId),
  `rancon-${cleanupId.toLowerCase()}`,
]

/** An entry of another process that lives is its own affair, whatever tags it has. */
export function isOwn(present: Present, there: Services, { announcer, cleanupId }: Owner): boolean {
  if (!cleanupTags(cleanupId).some((tag) => present.tags.includes(tag))) return false
  const other = announcerOf(present)
  if (other === undefined || other === announcer) return true
  const theirs = there.get(heartbeatId(other, cleanupId))
  return theirs === undefined || theirs.isDead
}

/**
 * A process that seems to have died may be about to say that it has not. What it had there gets no traffic until then, and goes by
 * itself; only what has come to us is taken back, as after a rename.
 */
export function hasNoOtherKeeper(present: Present, there: Services, { announcer, cleanupId }: Owner): boolean {
  const other = announcerOf(present)
  return other === undefined || other === announcer || !there.has(heartbeatId(other, cleanupId))
}
