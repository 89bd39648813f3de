import type { Logger } from '../lib/logger.js'
import type { Step } from './journal.js'
import { deleteJournal, type Manifest, readJournal, readManifest, writeJournal, writeManifest } from './journal.js'
import type { Mover } from './steps.js'

/** What `root/.hostler` remembers: which files are ours, and which set is on its way into place. */
export interface Ledger {
  readonly manifest: Manifest
  save(next: Manifest): Promise<void>
  /**
   * Carries out steps so that, once begun, they are finished by whoever comes next. Returns when everybody sees them: the
   * promise to finish them is on the disk and stays there until they are, so that nobody need wait for that.
   */
  carryOut(steps: readonly Step[], next: Manifest): Promise<void>
  /** Takes back the promise to finish what `carryOut` began. */
  abandon(): Promise<void>
  /** Finishes what a predecessor began; the targets that this changed. */
  resume(): Promise<string[]>
  /** Everything is on the disk that has been carried out. */
  settled(): Promise<void>
}

export function createLedger({ folder, mover, log }: { folder: string; mover: Mover; log: Logger }): Ledger {
  let manifest: Manifest = { files: [], folders: [] }
  /** The manifest on the disk. */
  let saved = JSON.stringify(manifest)
  let settling = Promise.resolve()

  async function save(next: Manifest): Promise<void> {
    const text = JSON.stringify(next)
    if (text !== saved) await writeManifest(folder, next)
    saved = text
    manifest = next
  }

  async function settle(next: Manifest, sync: () => Promise<void>): Promise<void> {
    try {
      await sync()
      await save(next)
      await deleteJournal(folder)
    } catch (err) {
      // The set is in place; the journal that stays behind says nothing else, and the next one takes its place.
      log.warn({ err, folder }, 'the new files are in place, but may not outlast a power cut')
    }
  }

  return {
    get manifest() {
      return manifest
    },
    settled: () => settling,
    async save(next) {
      await settling
      await save(next)
    },
    async abandon() {
      await settling
      await deleteJournal(folder)
    },

    async carryOut(steps, next) {
      await settling
      if (steps.length === 0) return settle(next, async () => undefined)
      await writeJournal(folder, { steps, manifest: next })
      const sync = await mover.move(steps)
      manifest = next
      settling = settle(next, sync)
    },

    async resume() {
      const journal = await readJournal(folder, log)
      const mended = journal ? await mover.resume(journal.steps) : []
      if (journal) {
        await writeManifest(folder, journal.manifest)
        await deleteJournal(folder)
      }
      manifest = await readManifest(folder, log)
      saved = JSON.stringify(manifest)
      return mended
    },
  }
}
