import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from '@jest/globals'

const made: string[] = []

/** A fresh folder that is gone after the suite. */
export function tempDir(prefix = 'hostler-'): string {
  const path = mkdtempSync(join(tmpdir(), prefix))
  made.push(path)
  return path
}

afterAll(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})
