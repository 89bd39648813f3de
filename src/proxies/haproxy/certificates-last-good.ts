import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/**
 * Certificates as HAProxy has taken them, for when the file turns bad: a renewal that wrote the wrong key must not take the
 * old certificate away, nor keep HAProxy from loading. A copy is written when it is needed, and deleted when it is not.
 */
export interface LastGood {
  remember(path: string, pem: string): void
  forget(path: string): void
  /** Where a copy of what was remembered lies, by this run or an earlier one; undefined when there is none. */
  copyOf(path: string): string | undefined
  /** Deletes the copies of all others. */
  tidy(listed: readonly { readonly path: string; readonly isCopied: boolean }[]): void
}

export function createLastGood(folder: string, isFit: (pem: string) => boolean): LastGood {
  const known = new Map<string, string>()

  function write(copy: string, pem: string): void {
    mkdirSync(folder, { recursive: true, mode: 0o711 })
    writeFileSync(`${copy}.new`, pem, { mode: 0o600 })
    chmodSync(`${copy}.new`, 0o600)
    renameSync(`${copy}.new`, copy)
  }

  return {
    remember: (path, pem) => void known.set(path, pem),
    forget(path) {
      known.delete(path)
      rmSync(copyPath(folder, path), { force: true })
    },
    copyOf(path) {
      const copy = copyPath(folder, path)
      const pem = known.get(path)
      try {
        if (pem !== undefined && textOf(copy) !== pem) write(copy, pem)
        return isFit(textOf(copy) ?? '') ? copy : undefined
      } catch {
        // A disk that is full or read-only: then it is left out.
        return undefined
      }
    },
    tidy(listed) {
      const paths = new Set(listed.map(({ path }) => path))
      for (const path of known.keys()) if (!paths.has(path)) known.delete(path)
      if (!existsSync(folder)) return
      const used = new Set(
        listed.filter(({ isCopied }) => isCopied).map(({ path }) => basename(copyPath(folder, path))),
      )
      for (const name of readdirSync(folder)) if (!used.has(name)) rmSync(join(folder, name), { force: true })
    },
  }
}

/** A name that a list of certificates can hold, different for each path. */
function copyPath(folder: string, path: string): string {
  const name = basename(path).replace(/[^\w.-]/g, '_')
  return join(folder, `${createHash('sha256').update(path).digest('hex').slice(0, 12)}-${name}`)
}

const textOf = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, 'utf8') : undefined)
