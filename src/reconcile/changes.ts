import { basename } from 'node:path'
import { type Excerpt, excerpt, listed } from '../lib/excerpt.js'
import type { Backend, Plan } from '../model/plan.js'
import type { Applied } from '../proxies/proxy.js'

/** One change that a proxy took. */
export interface AppliedChange {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** `written`: files have changed of which the proxy needs to know nothing, or that another process hands to it. */
  readonly how: Exclude<Applied['how'], 'nothing' | 'later'> | 'written'
  readonly ms: number
  /** Names of the backends that came, changed or went. */
  readonly backends: Excerpt
  /** Absolute paths of what was written or removed. */
  readonly files: readonly string[]
  /** What was done at the proxy's runtime API, in words. */
  readonly steps?: Excerpt
  /** Why it had to be a reload. */
  readonly why?: string
}

/** The last changes, the newest first. */
export interface Changes {
  add(change: AppliedChange): void
  list(): readonly AppliedChange[]
}

const KEPT_CHANGES = 10
const KEPT_NAMES = 10

export function createChanges(): Changes {
  let newest: readonly AppliedChange[] = []
  return {
    add(change) {
      newest = [change, ...newest].slice(0, KEPT_CHANGES)
    },
    list: () => newest,
  }
}

/** @param before what was in force until now; undefined at the first time, as is `now` where there are only files */
export function changeOf(
  { how, ms, why, steps }: Applied,
  {
    at,
    files,
    before,
    now,
  }: { at: number; files: readonly string[]; before?: Plan | undefined; now?: Plan | undefined },
): AppliedChange {
  return {
    at,
    how: how === 'nothing' || how === 'later' ? 'written' : how,
    ms,
    backends: excerpt(differing(before, now), KEPT_NAMES),
    files,
    ...(steps !== undefined && { steps }),
    ...(why !== undefined && { why }),
  }
}

/** A planner gives a backend that did not change as the same object, and most of ten thousand at the same place. */
function differing(before: Plan | undefined, now: Plan | undefined): string[] {
  const [olds, news] = [before?.backends ?? [], now?.backends ?? []]
  let start = 0
  while (start < olds.length && start < news.length && olds[start] === news[start]) start++
  let end = 0
  while (end < olds.length - start && end < news.length - start && olds.at(-1 - end) === news.at(-1 - end)) end++
  const known = new Map<string, Backend>()
  for (const backend of olds.slice(start, olds.length - end)) known.set(backend.name, backend)
  const names: string[] = []
  for (const backend of news.slice(start, news.length - end)) {
    if (known.get(backend.name) !== backend) names.push(backend.name)
    known.delete(backend.name)
  }
  return [...names, ...known.keys()]
}

/** What a change was about, in a few words: backends where there are some, else what was done, else files. */
export function subjectOf({ backends, files, steps }: AppliedChange): string {
  if (backends.count > 0) return listed(backends)
  if (steps !== undefined && steps.count > 0) return listed(steps, 1)
  const names = files.map((file) => basename(file))
  return listed(excerpt(names, names.length))
}
