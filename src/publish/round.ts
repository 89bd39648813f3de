import { randomBytes } from 'node:crypto'
import { HostlerError, messageOf } from '../lib/errors.js'
import type { Published } from './files.js'
import type { Manifest } from './journal.js'
import type { Ledger } from './ledger.js'
import { type Change, compare, type Staged, type Stager, stageFolders, type Wish } from './stager.js'
import { previously, withFolders } from './wishes.js'

/** A set of wishes, staged: what it changes, and how to do it or leave it. */
export interface Round {
  readonly changes: readonly Change[]
  commit(next: Manifest): Promise<Published>
  discard(): Promise<void>
}

/** Stages wishes; the names of staged files differ from round to round, so that an old journal never means new ones. */
export function createRounds({
  ledger,
  stager,
}: {
  ledger: Ledger
  stager: Stager
}): (wishes: Wish[]) => Promise<Round> {
  const run = randomBytes(3).toString('hex')
  let count = 0

  async function prepare(wishes: readonly Wish[]): Promise<{ changes: Change[]; staged: Staged }> {
    const changes = await compare(wishes, `${run}-${(count++).toString(36)}`)
    // Remembered first: whatever happens, the next start knows where to clear up.
    if (changes.length > 0) await ledger.save(withFolders(ledger.manifest, stageFolders(changes)))
    return { changes, staged: await stager.write(changes) }
  }

  async function putInPlace(changes: readonly Change[], staged: Staged, next: Manifest): Promise<void> {
    const steps = changes.map(({ wish: { target }, staged }) => (staged ? { target, staged } : { target }))
    try {
      await staged.synced
      await ledger.carryOut(steps, next)
    } finally {
      await staged.drop()
    }
  }

  /** Remembers what lies at the targets now, and returns how to put that back. */
  async function remember(changes: readonly Change[]): Promise<() => Promise<void>> {
    const before = ledger.manifest
    const wishes = await Promise.all(changes.map(previously))
    return async () => {
      const { changes, staged } = await prepare(wishes)
      await putInPlace(changes, staged, before)
    }
  }

  async function commit(changes: readonly Change[], staged: Staged, next: Manifest): Promise<Published> {
    const rollback = await remember(changes).catch(async (error) => {
      await staged.drop()
      throw error
    })
    try {
      await putInPlace(changes, staged, next)
    } catch (error) {
      throw await undone(error, () => rollback().then(() => ledger.abandon()))
    }
    return { changed: changes.map((change) => change.wish.path), rollback }
  }

  return async (wishes) => {
    const { changes, staged } = await prepare(wishes)
    return { changes, commit: (next) => commit(changes, staged, next), discard: () => staged.undo() }
  }
}

async function undone(error: unknown, putBack: () => Promise<void>): Promise<unknown> {
  try {
    await putBack()
    return error
  } catch (again) {
    const message = `${messageOf(error)}; putting the previous files back failed too: ${messageOf(again)}`
    return new HostlerError('PUBLISH', message, { cause: error })
  }
}
