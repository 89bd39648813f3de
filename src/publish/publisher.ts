import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HostlerError } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import { attempt } from './failure.js'
import type { Publisher, RenderedFile, Stage, StagedFile } from './files.js'
import { createLedger } from './ledger.js'
import { holdLock, type Lock } from './lock.js'
import { createRounds, type Round } from './round.js'
import { compare, createStager, STAGE_FOLDER, type Wish } from './stager.js'
import { createMover } from './steps.js'
import { farewells, manifestOf, wishesFor } from './wishes.js'
import { makeFolder } from './write.js'

export interface PublisherOptions {
  /** Absolute folder whose `.hostler` holds the journal, the list of our files and the lock. One per publisher. */
  readonly root: string
  readonly log: Logger
}

/**
 * INVARIANTS
 * - A staged file is on disk before the journal names it; the journal is on disk before the first rename.
 * - While a journal lies in `root`, its set is the one that counts: whoever comes next finishes it.
 * - Nothing is removed that is not in the manifest, which names a folder before the first file is staged there.
 * - Folders beside published files stay: Traefik drops a whole read when a subfolder vanishes under it.
 */
export function createPublisher({ root, log }: PublisherOptions): Publisher {
  const folder = join(root, STAGE_FOLDER)
  const scratch = join(folder, 'scratch')
  const stager = createStager(log)
  const ledger = createLedger({ folder, mover: createMover(log), log })
  const startRound = createRounds({ ledger, stager })
  let lock: Lock | undefined
  let recovered: Promise<{ mended: string[] }> | undefined
  let current: Stage | undefined

  async function recoverNow(): Promise<{ mended: string[] }> {
    await makeFolder(scratch)
    lock ??= await holdLock(folder, log)
    const mended = await ledger.resume()
    await Promise.all([...new Set([folder, ...ledger.manifest.folders])].map((path) => stager.sweep(path)))
    await empty(scratch)
    return { mended }
  }

  function recover(): Promise<{ mended: string[] }> {
    recovered ??= recoverNow().catch((error) => {
      recovered = undefined
      throw error
    })
    return recovered
  }

  return {
    recover,
    async stage(files) {
      await recover()
      await current?.discard()
      const wishes = await wishesFor(files)
      const round = await startRound([...wishes, ...farewells(ledger.manifest, wishes)])
      current = stageOf({ files, wishes, round, scratch })
      return current
    },
    async differing(files) {
      const wishes = await wishesFor(files)
      const changes = await compare([...wishes, ...farewells(ledger.manifest, wishes)], 'none')
      return changes.map(({ wish }) => wish.path)
    },
    async close() {
      await recovered?.catch(() => undefined)
      await current?.discard()
      await ledger.settled()
      recovered = undefined
      await lock?.release()
      lock = undefined
    },
  }
}

interface StageParts {
  readonly files: readonly RenderedFile[]
  readonly wishes: readonly Wish[]
  readonly round: Round
  readonly scratch: string
}

function stageOf({ files, wishes, round, scratch }: StageParts): Stage {
  let open = true
  const finish = async <T>(how: () => Promise<T>): Promise<T> => {
    open = false
    await empty(scratch)
    return how()
  }
  return {
    scratch,
    files: files.map((file, index) => stagedFile(file, wishes[index], round)),
    changed: round.changes.length > 0,
    async commit() {
      if (open) return finish(() => round.commit(manifestOf(wishes)))
      throw new HostlerError('PUBLISH', 'this set was committed or discarded before; stage it again')
    },
    discard: async () => (open ? finish(round.discard) : undefined),
  }
}

function stagedFile(file: RenderedFile, wish: Wish | undefined, { changes }: Round): StagedFile {
  const stagedPath = changes.find((change) => change.wish === wish)?.staged
  return { ...file, stagedPath: stagedPath ?? file.path, changed: stagedPath !== undefined }
}

async function empty(folder: string): Promise<void> {
  await attempt(`clearing ${folder}`, async () => {
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true })
  })
}
