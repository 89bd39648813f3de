import type { Instance } from '../../model/instance.js'
import type { Container } from './container.js'
import { sameInstance } from './same.js'

/** What is known of the containers that take part, by id. An instance that did not change stays the same object. */
export interface Ledger {
  container(id: string): Container | undefined
  containers(): IterableIterator<Container>
  put(container: Container, instance: Instance): void
  remove(id: string): void
  /** Sorted by id; the same array while nothing changed. */
  snapshot(): readonly Instance[]
}

export function createLedger(): Ledger {
  const records = new Map<string, { container: Container; instance: Instance }>()
  let order: string[] | undefined = []
  let instances: readonly Instance[] | undefined = []

  function put(container: Container, instance: Instance): void {
    const known = records.get(container.id)
    if (known && sameInstance(known.instance, instance)) {
      records.set(container.id, { container, instance: known.instance })
      return
    }
    if (!known) order = undefined
    instances = undefined
    records.set(container.id, { container, instance })
  }

  function remove(id: string): void {
    if (!records.delete(id)) return
    order = undefined
    instances = undefined
  }

  function snapshot(): readonly Instance[] {
    order ??= [...records.keys()].sort()
    instances ??= order.flatMap((id) => records.get(id)?.instance ?? [])
    return instances
  }

  return {
    container: (id) => records.get(id)?.container,
    *containers() {
      for (const { container } of records.values()) yield container
    },
    put,
    remove,
    snapshot,
  }
}
