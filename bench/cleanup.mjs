// What a run started or made, so that nothing of it stays behind, however it ends.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export function createCleanup() {
  const steps = []
  let ending
  async function run() {
    for (const step of steps.splice(0).reverse()) await step().catch((error) => console.error('cleaning up:', error))
  }
  return {
    /** @returns does it now, and only once */
    add(step) {
      steps.push(step)
      return async () => {
        const at = steps.indexOf(step)
        if (at < 0) return
        steps.splice(at, 1)
        await step()
      }
    },
    folder(name) {
      const path = mkdtempSync(join(tmpdir(), `hostler-bench-${name}-`))
      steps.push(async () => rmSync(path, { recursive: true, force: true }))
      return path
    },
    /** A second call waits for the first. */
    run() {
      ending ??= run().finally(() => {
        ending = undefined
      })
      return ending
    },
  }
}
