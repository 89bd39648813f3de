import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAtomically } from '../lib/atomic-file.js'
import { codeOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import type { Instance } from '../model/instance.js'

/**
 * The last good facts of each source on disk, so that a restart while a source is down does not take its routes away.
 * Losing a file here loses only that comfort, so failures are logged and never thrown.
 */
export interface FactCache {
  save(source: string, instances: readonly Instance[], at: number): Promise<void>
  load(source: string): Promise<{ instances: readonly Instance[]; at: number } | undefined>
}

/** Raised when the shape of an instance changes: facts of another version are not used. */
const FORMAT = 1

export function createFactCache({ dir, log }: { dir: string; log: Logger }): FactCache {
  const saved = new Map<string, readonly Instance[]>()
  let complained = false
  const fileOf = (source: string) => join(dir, 'facts', `${source.replace(/[^A-Za-z0-9_.-]/g, '_')}.json`)
  return {
    async save(source, instances, at) {
      if (saved.get(source) === instances) return
      saved.set(source, instances)
      const path = fileOf(source)
      try {
        await writeAtomically(path, JSON.stringify({ format: FORMAT, source, at, instances }, withoutInspect))
        complained = false
      } catch (err) {
        if (!complained)
          log.warn({ err, path }, 'the last good facts could not be saved; a restart begins without them')
        complained = true
      }
    },
    async load(source) {
      try {
        const stored = JSON.parse(await readFile(fileOf(source), 'utf8')) as Stored
        return stored.format === FORMAT && stored.source === source ? stored : undefined
      } catch (err) {
        if (codeOf(err) !== 'ENOENT') log.warn({ err, source }, 'saved facts could not be read and are ignored')
        return undefined
      }
    },
  }
}

/** An engine's whole answer holds the secrets of its containers. */
const withoutInspect = (key: string, value: unknown): unknown => (key === 'inspect' ? undefined : value)

interface Stored {
  readonly format: number
  readonly source: string
  readonly at: number
  readonly instances: readonly Instance[]
}
