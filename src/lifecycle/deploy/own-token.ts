import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeAtomically } from '../../lib/atomic-file.js'

/** The token that the process itself makes, for commands of ours that run beside it: only who may read the state folder has it. */
export const ownTokenPath = (stateDir: string): string => join(stateDir, 'token')

/** The same over restarts. */
export async function ensureOwnToken(stateDir: string): Promise<string> {
  const known = readOwnToken(stateDir)
  if (known !== undefined) return known
  const token = randomBytes(16).toString('hex')
  await writeAtomically(ownTokenPath(stateDir), `${token}\n`)
  return token
}

/** Undefined: there is none, or this user may not read it. */
export function readOwnToken(stateDir: string): string | undefined {
  try {
    return readFileSync(ownTokenPath(stateDir), 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}
