import type { Instance } from './instance.js'
import { readWishes, takesPart } from './labels.js'
import type { LabelRules, Wishes } from './wishes.js'

/**
 * Reads an instance's labels once, however often they are asked for: an instance that is the same object says the same.
 * Undefined: it takes no part.
 */
export type WishReader = (instance: Instance) => Wishes | undefined

export function createWishReader(rules: LabelRules): WishReader {
  const known = new WeakMap<Instance, Wishes | 'stranger'>()
  return (instance) => {
    let wishes = known.get(instance)
    if (wishes === undefined) {
      wishes = takesPart(instance.labels, rules) ? readWishes(instance, rules) : 'stranger'
      known.set(instance, wishes)
    }
    return wishes === 'stranger' ? undefined : wishes
  }
}
