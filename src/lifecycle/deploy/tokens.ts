import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { writeAtomically } from '../../lib/atomic-file.js'
import type { Clock } from '../../lib/clock.js'
import { codeOf } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'

/**
 * Tokens of 128 random bits. Only their hashes are kept, in memory and on disk, so that neither tells anybody a token, and
 * looking one up takes as long whatever is asked for.
 */
export interface Tokens {
  issue(): Promise<string>
  verify(token: string): 'good' | 'expired' | 'unknown'
}

export interface TokenInputs {
  /** Where hashes are kept over a restart. */
  readonly path: string
  readonly ttlMs: number
  /** Tokens that are always good. */
  readonly fixed: readonly string[]
  readonly clock: Clock
  readonly log: Logger
}

/** More are not kept: the oldest ones go. */
const MAX_TOKENS = 10_000

export async function createTokens({ path, ttlMs, fixed, clock, log }: TokenInputs): Promise<Tokens> {
  const known = new Map<string, number>(await load(path, log))
  const fixedHashes = fixed.filter((token) => token !== '').map(hashOf)
  let saving: Promise<unknown> = Promise.resolve()

  function prune(): void {
    for (const [hash, until] of known) {
      // A day longer than it is good, to tell an expired token from an unknown one.
      if (until + DAY_MS < clock.now() || known.size > MAX_TOKENS) known.delete(hash)
    }
  }

  function save(): Promise<unknown> {
    saving = saving
      .then(() => writeAtomically(path, JSON.stringify([...known])))
      .catch((err) => log.warn({ err, path }, 'tokens could not be saved; they end with this process'))
    return saving
  }

  return {
    async issue() {
      const token = randomBytes(16).toString('hex')
      known.set(hashOf(token), clock.now() + ttlMs)
      prune()
      await save()
      return token
    },
    verify(token) {
      const hash = hashOf(token)
      if (fixedHashes.some((other) => timingSafeEqual(Buffer.from(other), Buffer.from(hash)))) return 'good'
      const until = known.get(hash)
      if (until === undefined) return 'unknown'
      return until > clock.now() ? 'good' : 'expired'
    },
  }
}

const DAY_MS = 86_400_000

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex')

async function load(path: string, log: Logger): Promise<[string, number][]> {
  try {
    const stored: unknown = JSON.parse(await readFile(path, 'utf8'))
    return Array.isArray(stored) ? stored.filter(isEntry) : []
  } catch (err) {
    if (codeOf(err) !== 'ENOENT') log.warn({ err, path }, 'saved tokens could not be read; everybody logs in anew')
    return []
  }
}

const isEntry = (entry: unknown): entry is [string, number] =>
  Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number'
