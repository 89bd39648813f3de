import { compareText } from '../../../lib/compare.js'
import { printable } from '../../../lib/printable.js'
import type { WantedNode } from '../registrar.js'
import type { NodeText } from './policy.js'

/** Who says what of which node, put together: one container's change costs only its own nodes. */
export interface Contributions {
  /** What one sayer (a service, of one container) says now, in place of what it said before. */
  put(sayer: string, said: Saying | undefined): void
  /** Every node with the smallest of its values; the same map all the time. */
  readonly nodes: ReadonlyMap<string, WantedNode>
  /** Nodes that have changed since this was last called. */
  takeTouched(): ReadonlySet<string>
  /** §2: values that do not agree. */
  troubles(): Iterable<string>
}

export interface Saying {
  /** The container, for people and for the transaction that its nodes go into. */
  readonly container: string
  readonly group: string
  readonly nodes: readonly NodeText[]
}

interface Voice {
  readonly sayer: string
  readonly container: string
  readonly group: string
  readonly value: string
}

export function createContributions(): Contributions {
  const bySayer = new Map<string, Saying>()
  /** One voice where there is only one: most nodes have no more. */
  const voices = new Map<string, readonly Voice[]>()
  const nodes = new Map<string, WantedNode>()
  const troubles = new Map<string, string>()
  let touched = new Set<string>()

  function without(sayer: string, path: string): readonly Voice[] {
    return (voices.get(path) ?? []).filter((voice) => voice.sayer !== sayer)
  }

  function settle(path: string, all: readonly Voice[]): void {
    touched.add(path)
    const [smallest] = all
    if (!smallest) {
      voices.delete(path)
      nodes.delete(path)
      troubles.delete(path)
      return
    }
    voices.set(path, all)
    nodes.set(path, { value: smallest.value, group: smallest.group })
    const other = all.find(({ value }) => value !== smallest.value)
    if (other) troubles.set(path, disagreement(path, smallest, other))
    else troubles.delete(path)
  }

  return {
    nodes,
    put(sayer, said) {
      const before = bySayer.get(sayer)
      if (said) bySayer.set(sayer, said)
      else bySayer.delete(sayer)
      const now = new Map(said?.nodes)
      for (const [path] of before?.nodes ?? []) if (!now.has(path)) settle(path, without(sayer, path))
      for (const [path, value] of now) {
        const voice = { sayer, value, container: said?.container ?? '', group: said?.group ?? '' }
        settle(path, [...without(sayer, path), voice].sort(bySize))
      }
    },
    takeTouched() {
      const taken = touched
      touched = new Set()
      return taken
    },
    troubles: () => troubles.values(),
  }
}

const bySize = (a: Voice, b: Voice): number => compareText(a.value, b.value) || compareText(a.sayer, b.sayer)

/** By their sizes: a value may be what nobody else shall read. */
function disagreement(path: string, smaller: Voice, larger: Voice): string {
  const [one, other] = [smaller, larger].map(({ container }) => printable(container, 100))
  const sizes = [smaller, larger].map(({ value }) => Buffer.byteLength(value)).join(' and ')
  return `${printable(path, 200)}: ${one} and ${other} do not agree (${sizes} bytes); the smallest value, of ${one}, is in force: make them agree`
}
