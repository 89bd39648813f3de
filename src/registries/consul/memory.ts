import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeAtomically } from '../../lib/atomic-file.js'
import { codeOf } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'

/**
 * At which agents something of ours may be, on disk: where the address has placeholders, a run to which nothing is left to be
 * announced would not know whom to ask. Losing the file loses no more than that, so failures are logged and never thrown.
 */
export interface Memory {
  /** What an earlier run has noted: addresses, without user and password. */
  recall(): Promise<readonly string[]>
  /** Writes only what is new. */
  note(addresses: readonly string[]): Promise<void>
}

export interface MemoryInputs {
  readonly dir: string
  /** Tells this file from those of others in the folder. */
  readonly identity: readonly string[]
  readonly log: Logger
}

const schema = z.object({ agents: z.array(z.string().max(1000)).max(100_000) })

export function createMemory({ dir, identity, log }: MemoryInputs): Memory {
  const print = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 12)
  const path = join(dir, `consul-${print}.json`)
  let noted = '[]'
  return {
    async recall() {
      try {
        const { agents } = schema.parse(JSON.parse(await readFile(path, 'utf8')))
        noted = JSON.stringify(agents)
        return agents
      } catch (err) {
        if (codeOf(err) !== 'ENOENT') log.warn({ err, path }, 'which agents of Consul were announced to cannot be read')
        return []
      }
    },
    async note(addresses) {
      const agents = [...addresses].sort()
      const text = JSON.stringify(agents)
      if (text === noted) return
      noted = text
      await writeAtomically(path, JSON.stringify({ agents })).catch((err: unknown) =>
        log.warn(
          { err, path },
          'which agents of Consul are announced to cannot be noted: after a restart something may stay there; set HOSTLER_STATE_DIR',
        ),
      )
    },
  }
}
