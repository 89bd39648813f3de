import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAtomically } from '../lib/atomic-file.js'
import type { Clock } from '../lib/clock.js'
import { codeOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import { createTurns } from '../lib/turns.js'
import { type ClockFile, formatClockFile, type ProxyCounts, parseClockFile } from './idle-clock-file.js'

/**
 * When each group was last used.
 *
 * INVARIANTS
 * - A group's last use moves forward only, and only on evidence. It begins when the group is first seen to run, and anew
 *   when it runs again.
 * - It is counted on the monotonic clock: what people and time servers do to the wall clock makes nobody idle. Only the
 *   time between two runs of Hostler is taken from the wall clock, and never as less than nothing.
 * - What has changed is on the disk a second later, in a file that is whole at any moment.
 */
export interface IdleClock {
  /** Reads what an earlier run left. To be called once, before anything else. Never throws. */
  load(): Promise<void>
  /** Somebody used a group, so many milliseconds ago. */
  touch(group: string, agoMs?: number): void
  /** These run now: who is new begins, who is missing counts no longer. A set that is the same object holds the same. */
  sight(running: ReadonlySet<string>): void
  /** Since the last use; undefined for a group that is not known to run. */
  idleMs(group: string): number | undefined
  /** What a proxy had counted when it was last asked, perhaps by an earlier run. */
  countsOf(proxy: string): ProxyCounts | undefined
  /** Keeps what it has counted now; undefined: forgets it. */
  keepCounts(proxy: string, now: ProxyCounts | undefined): void
  /** Writes what is not on the disk yet, for the last time. */
  stop(): Promise<void>
}

export interface IdleClockInputs {
  /** The folder of its file. */
  readonly dir: string
  readonly clock: Clock
  readonly log: Logger
  /** The least time between two writes. */
  readonly saveEveryMs?: number
}

/** How long a group is remembered that an earlier run knew and this one has not seen: its source may be down. */
export const FORGET_MS = 3_600_000

interface Entry {
  /** Monotonic milliseconds. */
  usedAt: number
  /** `loaded`: from an earlier run, and not seen to run in this one. `touched`: used, and not seen to run. */
  is: 'loaded' | 'touched' | 'running'
}

export function createIdleClock({ dir, clock, log, saveEveryMs = 1000 }: IdleClockInputs): IdleClock {
  const path = join(dir, 'idle-clock.json')
  const began = clock.elapsed()
  const entries = new Map<string, Entry>()
  const counts = new Map<string, ProxyCounts>()
  const turns = createTurns()
  const life = new AbortController()
  let sighted: ReadonlySet<string> | undefined
  let isChanged = false
  let isSaving = false
  let lastSave = Number.NEGATIVE_INFINITY
  let hasComplained = false

  function touch(group: string, agoMs = 0): void {
    const usedAt = clock.elapsed() - Math.max(0, agoMs)
    const entry = entries.get(group)
    if (entry && entry.usedAt >= usedAt) return
    if (entry) entry.usedAt = usedAt
    else entries.set(group, { usedAt, is: 'touched' })
    change()
  }

  function sight(running: ReadonlySet<string>): void {
    // The same set as last time, and nobody else is known.
    if (running === sighted && entries.size === running.size) return
    sighted = running
    const now = clock.elapsed()
    for (const group of running) {
      const entry = entries.get(group)
      if (entry?.is === 'running') continue
      if (entry?.is === 'loaded') entry.is = 'running'
      // Somebody has just started it.
      else entries.set(group, { usedAt: now, is: 'running' })
      change()
    }
    for (const [group, { is }] of entries) {
      if (running.has(group) || (is === 'loaded' && now - began < FORGET_MS)) continue
      entries.delete(group)
      change()
    }
  }

  function change(): void {
    isChanged = true
    if (!isSaving) void saveWhileChanged()
  }

  async function saveWhileChanged(): Promise<void> {
    isSaving = true
    // What changes in one go is one write.
    await Promise.resolve()
    while (isChanged && !life.signal.aborted) {
      const waitMs = lastSave + saveEveryMs - clock.elapsed()
      if (waitMs > 0) await clock.sleep(waitMs, life.signal).catch(() => undefined)
      else await turns.take(save)
    }
    isSaving = false
  }

  async function save(): Promise<void> {
    if (!isChanged) return
    isChanged = false
    lastSave = clock.elapsed()
    try {
      await writeAtomically(path, formatClockFile(snapshot()))
      hasComplained = false
    } catch (err) {
      isChanged = true
      if (!hasComplained)
        log.warn({ err, path }, 'the idle clock cannot be saved; a restart would begin with an older one')
      hasComplained = true
    }
  }

  function snapshot(): ClockFile {
    const now = clock.elapsed()
    const groups: [string, number][] = []
    for (const [name, { usedAt }] of entries) groups.push([name, Math.round(now - usedAt)])
    return { savedAt: clock.now(), groups, counts }
  }

  return {
    touch,
    sight,
    countsOf: (proxy) => counts.get(proxy),
    keepCounts(proxy, now) {
      if (areSame(counts.get(proxy), now)) return
      if (now) counts.set(proxy, now)
      else counts.delete(proxy)
      change()
    },
    async load() {
      try {
        const file = parseClockFile(await readFile(path, 'utf8'))
        const awayMs = Math.max(0, clock.now() - file.savedAt)
        for (const [name, idleMs] of file.groups) {
          entries.set(name, { usedAt: clock.elapsed() - idleMs - awayMs, is: 'loaded' })
        }
        for (const [proxy, known] of file.counts) counts.set(proxy, known)
      } catch (err) {
        if (codeOf(err) === 'ENOENT') return
        log.error({ err, path }, 'the idle clock cannot be read, so every stack counts as used just now')
      }
    },
    idleMs(group) {
      const entry = entries.get(group)
      return entry && Math.max(0, clock.elapsed() - entry.usedAt)
    },
    async stop() {
      life.abort()
      await turns.take(save)
    },
  }
}

const areSame = (a: ProxyCounts | undefined, b: ProxyCounts | undefined): boolean =>
  a === b ||
  (a?.counting === b?.counting &&
    a?.totals.size === b?.totals.size &&
    [...(a?.totals ?? [])].every(([group, total]) => b?.totals.get(group) === total))
