import type { Logger } from '../lib/logger.js'
import type { Step } from './journal.js'
import { deleteJournal, type Manifest, readJournal, readManifest, writeJournal, writeManifest } from './journal.js'
import type { Mover } from './steps.js'

/** What `root/.hostler` remembers: which files are ours, and which set is on its way into place. */
export interface Ledger {
  readonly manifest: Manifest
  save(next: Manifest): Promise<void>
  /** Carries out steps so that, once begun, they are finished by whoever comes next. */
  carryOut(steps: readonly Step[], next: Manifest): Promise<void>
  /** Takes back the promise to finish what `carryOut` began. */
  abandon(): Promise<void>
  /** Finishes what a predecessor began; the targets that this changed. */
  resume(): Promise<string[]>
}

export function createLedger({ folder, mover, log }: { folder: string; mover: Mover; log: Logger }): Ledger {
  let manifest: Manifest = { files: [], folders: [] }

  async function save(next: Manifest): Promise<void> {
    if (JSON.stringify(next) === JSON.stringify(manifest)) return
    await writeManifest(folder, next)
    manifest = next
  }

  return {
    get manifest() {
      return manifest
    },
    save,
    abandon: () => deleteJournal(folder),

    async carryOut(steps, next) {
      if (steps.length > 0) {
        await writeJournal(folder, { steps, manifest: next })
        await mover.move(steps)
      }
      try {
        await save(next)
        if (steps.length > 0) await deleteJournal(folder)
      } catch (err) {
        // The set is in place; the journal that stays behind says nothing else, and the next one takes its place.
        log.warn({ err, folder }, 'the list of our files could not be saved')
      }
    },

    async resume() {
      const journal = await readJournal(folder, log)
      const mended = journal ? await mover.resume(journal.steps) : []
      if (journal) {
        await writeManifest(folder, journal.manifest)
        await deleteJournal(folder)
      }
      manifest = await readManifest(folder, log)
      return mended
    },
  }
}
