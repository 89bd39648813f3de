import { compareText } from '../lib/compare.js'
import type { Member } from './backend.js'
import type { Instance } from './instance.js'
import { stackIdentity } from './names.js'
import type { WishReader } from './reader.js'
import type { Wishes } from './wishes.js'

/** An instance that takes part, read once. */
export interface Holder {
  readonly wishes: Wishes
  readonly members: readonly Member[]
}

/** An instance that is the same object gives the same holder. */
export function createHolderReader(read: WishReader): (instance: Instance) => Holder | 'stranger' {
  const holders = new WeakMap<Instance, Holder | 'stranger'>()
  return (instance) => {
    const known = holders.get(instance)
    if (known !== undefined) return known
    const wishes = read(instance)
    const fresh = wishes ? toHolder(wishes) : 'stranger'
    holders.set(instance, fresh)
    return fresh
  }
}

function toHolder(wishes: Wishes): Holder {
  const stack = stackIdentity(wishes.stack, wishes.instance)
  const groupOf = (route: string) => `${stack}\n${wishes.service}\n${route}`
  return { wishes, members: wishes.routes.map((wish) => ({ wishes, wish, group: groupOf(wish.name) })) }
}

/** A stopped container holds no hostname, unless a request can start it. */
export const isHolding = ({ wishes: { instance, lifecycle } }: Holder): boolean =>
  instance.state !== 'stopped' || lifecycle.wake

/** Creation time, then name: who was there first. */
export const olderFirst = ({ wishes: { instance: a } }: Holder, { wishes: { instance: b } }: Holder): number =>
  a.createdAt - b.createdAt || compareText(a.name, b.name) || compareText(a.source, b.source) || compareText(a.id, b.id)
