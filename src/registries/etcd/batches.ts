import type { Group, Wish } from './settle.js'

/** What goes into one transaction: whole groups, or a part of one. */
export type Batch = readonly Group[]
/** Batches that are written one after the other: parts of a group that does not fit into one. */
export type Chain = readonly Batch[]

/** Of groups that have nothing to do with each other: a wish has up to four comparisons, and etcd takes 128. */
const TOGETHER = { nodes: 40, bytes: 512 << 10 }
/** Of one group: as much as etcd takes at all. A wish has two comparisons at least; a request may have 1.5 MB. */
const ALONE = { nodes: 64, bytes: 1 << 20 }
/** A wish's keys and what is around them: its path comes up to eleven times, seven of them percent-encoded behind a prefix. */
const AROUND_BYTES = 1024
const PATHS = 4 + 7 * 3

type Sized = readonly (readonly [wish: Wish, bytes: number])[]

/** @param before the value that a node has so far: a change carries it along, beside what is claimed and what is written */
export function* chainsOf(groups: Iterable<Group>, before: (node: string) => string): Generator<Chain> {
  const sizeOf = ({ node, value = '' }: Wish) =>
    AROUND_BYTES + PATHS * Buffer.byteLength(node) + 2 * Buffer.byteLength(value) + Buffer.byteLength(before(node))
  let batch: Group[] = []
  let [nodes, bytes] = [0, 0]
  for (const group of groups) {
    const sized = group.map((wish) => [wish, sizeOf(wish)] as const)
    const size = sized.reduce((sum, [, one]) => sum + one, 0)
    if (batch.length > 0 && (nodes + group.length > TOGETHER.nodes || bytes + size > TOGETHER.bytes)) {
      yield [batch]
      batch = []
      nodes = 0
      bytes = 0
    }
    if (group.length > TOGETHER.nodes || size > TOGETHER.bytes) {
      yield partsOf(sized).map((part) => [part])
      continue
    }
    batch.push(group)
    nodes += group.length
    bytes += size
  }
  if (batch.length > 0) yield [batch]
}

function partsOf(group: Sized): Group[] {
  const parts: Wish[][] = []
  let bytes = 0
  for (const [wish, size] of group) {
    const last = parts.at(-1)
    if (last && last.length < ALONE.nodes && bytes + size <= ALONE.bytes) {
      last.push(wish)
      bytes += size
    } else {
      parts.push([wish])
      bytes = size
    }
  }
  return parts
}

/** Two of one, each with something in it: between groups where there are several. */
export function halvesOf(batch: Batch): Chain {
  const [only] = batch
  if (batch.length > 1 || !only) return halved(batch)
  return halved(only).map((part) => [part])
}

function halved<T>(items: readonly T[]): (readonly T[])[] {
  const middle = Math.ceil(items.length / 2)
  return [items.slice(0, middle), items.slice(middle)]
}
