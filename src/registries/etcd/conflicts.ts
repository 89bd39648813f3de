import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { printable } from '../../lib/printable.js'
import type { Keys } from './keys.js'
import { prevailing, type View } from './view.js'

/** Nodes that we claim and others claim with another value: §4 of the rules. */
export interface Conflicts {
  /** @returns whether there is something else to tell now */
  look(nodes: Iterable<string>, claimed: ReadonlyMap<string, { readonly value: string }>, process: string): boolean
  troubles(): readonly string[]
}

export function createConflicts({ view, keys, log }: { view: View; keys: Keys; log: Logger }): Conflicts {
  /** By node; a text does not change while others join or leave the conflict, so that it is warned of once. */
  const known = new Map<string, string>()

  function conflictOf(node: string, ours: string, process: string): string | undefined {
    const others = [...view.claims(node).values()].filter(
      ({ value, ...claim }) => claim.process !== process && value !== ours,
    )
    const other = prevailing(others)
    if (!other) return undefined
    const who = nameOf(view.processes().get(other.process)?.said)
    log.debug({ node, ours: shown(ours), theirs: shown(other.value), who }, 'a conflict')
    const claims = keys.claims(node).key.toString()
    return `${printable(node, 200)}: others claim another value than ours (${shown(ours)}); the smallest is in force: make them agree (etcdctl get --prefix ${printable(claims)})`
  }

  return {
    look(nodes, claimed, process) {
      let isNews = false
      for (const node of nodes) {
        const ours = claimed.get(node)?.value
        const text = ours === undefined ? undefined : conflictOf(node, ours, process)
        if (text === known.get(node)) continue
        isNews = true
        if (text === undefined) known.delete(node)
        else known.set(node, text)
      }
      return isNews
    },
    troubles: () => [...known.values()],
  }
}

/** A value may be a secret: enough to tell two of them apart, and too little to guess one by. */
const shown = (value: string): string =>
  `${Buffer.byteLength(value)} bytes, SHA-256 ${createHash('sha256').update(value).digest('hex').slice(0, 4)}…`

/** What a process says of itself is somebody else's text. */
function nameOf(said: string | undefined): string | undefined {
  try {
    const { name } = JSON.parse(said ?? '') as { name?: unknown }
    return typeof name === 'string' && name !== '' ? printable(name, 80) : undefined
  } catch {
    return undefined
  }
}
